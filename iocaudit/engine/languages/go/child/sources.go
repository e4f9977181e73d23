package child

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
)

// ours are the files of this package: they are part of each program.
//
//go:embed *.go go.mod
var ours embed.FS

// Version is the line by which a program tells its name, the version of what it is built on, and the digest of the
// sources that it was compiled from. iocaudit/engine/languages/sources.py computes the same digest of what is shipped.
func Version(program, builtOn, folder string, sources fs.FS) (string, error) {
	digest := sha256.New()
	if err := add(digest, "child", ours); err != nil {
		return "", err
	}
	if err := add(digest, folder, sources); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s sources %s\n", program, builtOn, hex.EncodeToString(digest.Sum(nil))), nil
}

// add takes in the names and contents of all files of a folder, each preceded by its length, in the order of the names.
func add(digest hash.Hash, folder string, files fs.FS) error {
	return fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		for _, part := range [][]byte{[]byte(folder + "/" + path), content} {
			fmt.Fprintf(digest, "%d\n", len(part))
			digest.Write(part)
		}
		return nil
	})
}
