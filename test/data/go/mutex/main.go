// One counter behind one lock, which is right, and one behind two, which is not.
package main

import (
	"fmt"
	"sync"
	"time"
)

var (
	a, b        sync.Mutex
	rw          sync.RWMutex
	right, torn int
)

func main() {
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := 0; j < 50; j++ {
				a.Lock()
				right++
				a.Unlock()
				rw.RLock()
				rw.RUnlock()
			}
		}()
	}
	wg.Wait()
	go func() {
		b.Lock()
		torn++
		b.Unlock()
	}()
	time.Sleep(20 * time.Millisecond)
	a.Lock()
	torn++
	a.Unlock()
	fmt.Println(right, torn)
}
