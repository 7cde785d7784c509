// Timers of each kind. Their functions run on a thread's system stack; `late` is written by a goroutine that one starts.
package main

import (
	"fmt"
	"time"
)

var late int

func main() {
	<-time.After(2 * time.Millisecond)
	ticker := time.NewTicker(time.Millisecond)
	for i := 0; i < 3; i++ {
		<-ticker.C
	}
	ticker.Stop()
	time.AfterFunc(time.Millisecond, func() { late = 1 })
	<-time.After(20 * time.Millisecond)
	fmt.Println(late)
}
