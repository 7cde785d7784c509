// No race. What it prints says which of the recorder's variables it can see, and its arguments.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		return
	}
	for _, entry := range os.Environ() {
		if strings.HasPrefix(entry, "LAZYSHADOW_") {
			fmt.Println("sees", entry)
		}
	}
	executable, err := os.Executable()
	if err == nil {
		err = exec.Command(executable, "child").Run()
	}
	var mutex sync.Mutex
	var wg sync.WaitGroup
	sum := 0
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := 0; j < 2000; j++ {
				mutex.Lock()
				sum++
				mutex.Unlock()
			}
		}()
	}
	wg.Wait()
	fmt.Println(sum, runtime.GOMAXPROCS(0), strings.Join(os.Args[1:], "|"), err)
}
