// Channels, locks and a map: words counted by eight workers.
package main

import (
	"fmt"
	"strings"
	"sync"
)

const text = "the recorder stands in front of the race runtime and writes down every call that the program makes into it"

func main() {
	lines := make(chan string, 64)
	counts := map[string]int{}
	var mutex sync.Mutex
	var wg sync.WaitGroup
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for line := range lines {
				for _, word := range strings.Fields(line) {
					mutex.Lock()
					counts[word]++
					mutex.Unlock()
				}
			}
		}()
	}
	for i := 0; i < 20_000; i++ {
		lines <- text
	}
	close(lines)
	wg.Wait()
	fmt.Println(counts["the"])
}
