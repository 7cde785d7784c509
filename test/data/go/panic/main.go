// Ends by a panic.
package main

func main() {
	done := make(chan bool)
	go func() { close(done) }()
	<-done
	panic("as it should")
}
