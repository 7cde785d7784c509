// Values that go through channels are ordered; `late` goes beside them.
package main

import (
	"fmt"
	"time"
)

var late int

func main() {
	values := make(chan []int, 2)
	done := make(chan bool)
	go func() {
		sum := 0
		for part := range values {
			sum += part[0] + part[1]
		}
		done <- sum == 9900
		late = sum
	}()
	for i := 0; i < 100; i++ {
		values <- []int{i, i}
	}
	close(values)
	fmt.Println(<-done)
	time.Sleep(20 * time.Millisecond)
	fmt.Println(late)
}
