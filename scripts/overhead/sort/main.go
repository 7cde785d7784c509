// Nothing but memory: a parallel merge sort.
package main

import (
	"fmt"
	"math/rand"
	"sort"
	"sync"
)

func mergeSort(values []int, depth int) []int {
	if depth == 0 {
		sorted := append([]int(nil), values...)
		sort.Ints(sorted)
		return sorted
	}
	var left, right []int
	var wg sync.WaitGroup
	wg.Add(2)
	go func() { defer wg.Done(); left = mergeSort(values[:len(values)/2], depth-1) }()
	go func() { defer wg.Done(); right = mergeSort(values[len(values)/2:], depth-1) }()
	wg.Wait()
	merged := make([]int, 0, len(values))
	for len(left) > 0 && len(right) > 0 {
		if left[0] <= right[0] {
			merged, left = append(merged, left[0]), left[1:]
		} else {
			merged, right = append(merged, right[0]), right[1:]
		}
	}
	return append(append(merged, left...), right...)
}

func main() {
	random := rand.New(rand.NewSource(1))
	values := make([]int, 200_000)
	for i := range values {
		values[i] = random.Int()
	}
	fmt.Println(sort.IntsAreSorted(mergeSort(values, 4)))
}
