// A finalizer comes after everything that its object saw, and before nothing of what main does next.
package main

import (
	"fmt"
	"runtime"
	"time"
)

type file struct{ name *string }

var closed string

func use() {
	name := "a file"
	f := &file{&name}
	runtime.SetFinalizer(f, func(f *file) { closed = *f.name })
	done := make(chan bool)
	go func() {
		*f.name = "a used file"
		close(done)
	}()
	<-done
}

func main() {
	use()
	for i := 0; i < 5; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println(closed)
}
