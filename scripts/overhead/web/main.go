// What most programs are like: a server that answers JSON, and its clients.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
)

type answer struct {
	Path  string
	Items []int
}

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(answer{r.URL.Path, make([]int, 64)})
	}))
	defer server.Close()
	var wg sync.WaitGroup
	for client := 0; client < 8; client++ {
		wg.Add(1)
		go func(client int) {
			defer wg.Done()
			for i := 0; i < 250; i++ {
				response, err := http.Get(fmt.Sprintf("%s/%d/%d", server.URL, client, i))
				if err != nil {
					panic(err)
				}
				var got answer
				if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
					panic(err)
				}
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		}(client)
	}
	wg.Wait()
	fmt.Println("done")
}
