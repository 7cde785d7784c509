// C that calls back into Go, and forks a child that leaves by exit: the child's calls are not the program's.
package main

/*
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void called(int);

static void call(int value) { called(value); }

static int fork_and_exit(void) {
  pid_t child = fork();
  if (child == 0) exit(7);
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}
*/
import "C"

import (
	"fmt"
	"sync"
)

var (
	mutex sync.Mutex
	sum   int
)

//export called
func called(value C.int) {
	mutex.Lock()
	sum += int(value)
	mutex.Unlock()
}

func main() {
	var wg sync.WaitGroup
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			C.call(C.int(i))
		}(i)
	}
	wg.Wait()
	fmt.Println(sum, C.fork_and_exit())
}
