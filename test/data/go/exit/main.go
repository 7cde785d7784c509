// Ends by os.Exit, after which Go asks nothing more of its race runtime.
package main

import "os"

var n int

func main() {
	done := make(chan bool)
	go func() { n++; close(done) }()
	<-done
	os.Exit(2 + n)
}
