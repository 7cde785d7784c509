// Every kind of atomic, a value published by one, and a plain read of a word that others add to.
package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

var (
	small, total int64
	state, ready uint32
	published    string
)

func main() {
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := 0; j < 50; j++ {
				atomic.AddInt64(&total, 1)
				for !atomic.CompareAndSwapUint32(&state, 0, 1) {
					time.Sleep(time.Microsecond)
				}
				atomic.SwapInt64(&small, int64(j))
				atomic.StoreUint32(&state, 0)
			}
		}()
	}
	wg.Wait()
	go func() {
		published = "published"
		atomic.StoreUint32(&ready, 1)
		atomic.AddInt64(&small, 1)
	}()
	for atomic.LoadUint32(&ready) == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	fmt.Println(total, published, small > 0)
}
