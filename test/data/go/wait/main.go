// Says that it runs, and runs until a signal ends it.
package main

import (
	"fmt"
	"time"
)

func main() {
	fmt.Println("running")
	for n := 0; ; n++ {
		time.Sleep(time.Millisecond)
	}
}
