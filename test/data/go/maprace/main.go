// Two goroutines and a map without a lock.
package main

import (
	"fmt"
	"time"
)

func main() {
	cache := map[string]int{"zero": 0}
	go func() { cache["one"] = 1 }()
	time.Sleep(20 * time.Millisecond)
	fmt.Println(len(cache), cache["one"])
}
