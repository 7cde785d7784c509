// 3000 goroutines, at most 100 at a time, and one word that two of them write.
package main

import (
	"fmt"
	"sync"
	"time"
)

var last int

func main() {
	results := make([]int, 3000)
	gate := make(chan struct{}, 100)
	var wg sync.WaitGroup
	for i := range results {
		gate <- struct{}{}
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			results[i] = i * i
			<-gate
		}(i)
	}
	wg.Wait()
	go func() { last = results[1] }()
	time.Sleep(20 * time.Millisecond)
	last = results[2]
	fmt.Println(last, len(results))
}
