package main

import (
	"encoding/json"
	"fmt"
)

const (
	// mostMetadata is how many bytes the annotations of a rule may have. By aliases of YAML a few lines hold as much as
	// one likes, and whoever reads what we print has it all.
	mostMetadata = 64 << 10
	// mostWritten and timesWritten bound what a rule becomes: a text is written anew with each line indented, which
	// grows with the square of what is nested.
	mostWritten  = 256 << 10
	timesWritten = 8
)

// checkMetadata says that annotations are too large.
func checkMetadata(source int, metadata map[string]any) []fault {
	if left := reduced(mostMetadata, metadata); left >= 0 {
		return nil
	}
	line := 0
	if row, ok := metadata["line"].(int); ok {
		line = row
	}
	return []fault{{source, line, 1, fmt.Sprintf("the annotations have more than %d bytes, aliases included", mostMetadata)}}
}

// checkWritten says that what is to be loaded is too large for what was written.
func checkWritten(sources ruleSources, written ...string) []fault {
	given := len(sources.Module)
	for _, text := range sources.Libraries {
		given += len(text)
	}
	size := 0
	for _, text := range written {
		size += len(text)
	}
	if size <= mostWritten+timesWritten*given {
		return nil
	}
	return []fault{{0, 0, 0, fmt.Sprintf(
		"it becomes %d bytes once it is written line by line, and may become %d: nest less", size, mostWritten+timesWritten*given)}}
}

// reduced is what is left of a budget of bytes after a value; less than zero where it is larger, which is found out
// without going through all of it.
func reduced(budget int, value any) int {
	budget--
	if budget < 0 {
		return budget
	}
	switch value := value.(type) {
	case string:
		budget -= len(value)
	case json.Number:
		budget -= len(value)
	case map[string]any:
		for key, one := range value {
			if budget = reduced(budget-len(key), one); budget < 0 {
				return budget
			}
		}
	case []any:
		for _, one := range value {
			if budget = reduced(budget, one); budget < 0 {
				return budget
			}
		}
	default:
		budget -= 8
	}
	return budget
}
