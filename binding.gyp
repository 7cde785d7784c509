{
  "targets": [
    {
      "target_name": "lazyshadow",
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL", "NODE_ADDON_API_DISABLE_DEPRECATED",
                  "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "sources": [
        "native/addon.cc",
        "native/address_windows.cc",
        "native/arguments.cc",
        "native/fault_injection_binding.cc",
        "native/fixed_mappings.cc",
        "native/range_set.cc",
        "native/release.cc",
        "native/reservation.cc",
        "native/reservation_binding.cc",
        "native/reserved_memory.cc",
        "native/shadow_map.cc",
        "native/shadow_map_binding.cc",
        "native/system_binding.cc",
        "native/views.cc"
      ],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++20", "-std=gnu++17"],
      "cflags_cc": ["-std=c++17", "-Wall", "-Wextra", "-fvisibility=hidden"],
      "conditions": [
        [
          "OS=='linux'",
          {
            "cflags_cc": ["-fno-plt"],
            "sources": [
              "native/cgroup_linux.cc",
              "native/os_memory_posix.cc",
              "native/os_memory_linux.cc",
              "native/proc_maps_linux.cc",
              "native/process_memory_linux.cc"
            ]
          }
        ],
        [
          "OS=='mac'",
          {
            "sources": [
              "native/os_memory_posix.cc",
              "native/os_memory_darwin.cc",
              "native/process_memory_darwin.cc"
            ],
            "xcode_settings": {
              "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
              "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
              "GCC_ENABLE_CPP_RTTI": "YES",
              "MACOSX_DEPLOYMENT_TARGET": "13.0"
            }
          }
        ],
        [
          "OS=='win'",
          {
            "sources": ["native/os_memory_windows.cc", "native/process_memory_windows.cc"],
            "libraries": ["psapi.lib"],
            "msvs_settings": {
              "VCCLCompilerTool": { "ExceptionHandling": 1, "RuntimeTypeInfo": "true", "AdditionalOptions": ["/std:c++17"] }
            }
          }
        ]
      ]
    }
  ]
}
