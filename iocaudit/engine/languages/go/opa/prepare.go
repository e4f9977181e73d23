package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/spf13/cobra"
	"iocaudit.io/child"
)

// mostInput is how much prepare reads.
const mostInput = 64 << 20

// The question: modules to look into one by one, and rules to make ready for loading.
type preparation struct {
	Modules []string      `json:"modules"`
	Rules   []ruleSources `json:"rules"`
}

// ruleSources is a rule as it was written. Root is the name below which its packages are to stand.
type ruleSources struct {
	Root      string   `json:"root"`
	Module    string   `json:"module"`
	Libraries []string `json:"libraries"`
}

// The answer, in the order of the question.
type prepared struct {
	Modules []inspectedModule `json:"modules"`
	Rules   []preparedRule    `json:"rules"`
}

// fault is a mistake of the author. Source is 0 for the module, 1 for the first library and so on; Line 0 where the
// mistake is not at one place.
type fault struct {
	Source  int    `json:"source"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// inspectedModule says what a module is, by itself: Rule where it has deny or violation, Uses the packages of others
// that it refers to, Converted its text in Rego v1 where it was written in v0.
type inspectedModule struct {
	Package   string         `json:"package"`
	Rule      bool           `json:"rule"`
	Uses      []string       `json:"uses"`
	Converted string         `json:"converted"`
	Metadata  map[string]any `json:"metadata"`
	Faults    []fault        `json:"faults"`
}

// preparedRule is what to load, in this order. Converted has a text for each source, empty where it was v1.
type preparedRule struct {
	Converted []string       `json:"converted"`
	Modules   []loadedModule `json:"modules"`
	Inventory bool           `json:"inventory"`
	Metadata  map[string]any `json:"metadata"`
	Faults    []fault        `json:"faults"`
}

// loadedModule is a text to load, and where its rules were in the text of the author: pairs of lines, here and there.
type loadedModule struct {
	Source int      `json:"source"`
	Text   string   `json:"text"`
	Lines  [][2]int `json:"lines"`
}

func init() {
	subcommands = append(subcommands, prepareCommand)
}

func prepareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "prepare",
		Short: "Check modules of Rego, and rewrite them so that many rules can be loaded beside each other",
		Long: `Reads {"modules": [TEXT …], "rules": [{"root", "module", "libraries"} …]} from standard input and prints
what each is: its faults, its text in Rego v1, its annotations, and of rules the modules to load.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			inFlight.Begin()
			if err := child.LimitMemory(program, inFlight); err != nil {
				return err
			}
			return prepare(command.InOrStdin(), command.OutOrStdout())
		},
	}
}

func prepare(in io.Reader, out io.Writer) error {
	var question preparation
	decoder := json.NewDecoder(io.LimitReader(in, mostInput))
	if err := decoder.Decode(&question); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	answer := prepared{Modules: []inspectedModule{}, Rules: []preparedRule{}}
	for _, text := range question.Modules {
		answer.Modules = append(answer.Modules, inspect(text))
	}
	for _, rule := range question.Rules {
		answer.Rules = append(answer.Rules, prepareRule(rule))
	}
	return json.NewEncoder(out).Encode(answer)
}

func inspect(text string) inspectedModule {
	read, faults := readModule(0, text)
	if faults != nil {
		return inspectedModule{Uses: []string{}, Faults: faults}
	}
	own := packageName(read.author)
	uses := []string{}
	for _, one := range dataRefs(read.module) {
		if name := dotted(one.ref); name != own && !strings.HasPrefix(name, own+".") && !slices.Contains(uses, name) {
			uses = append(uses, name)
		}
	}
	said := metadata(read.author)
	faults = append(checkMetadata(0, said), checkWritten(ruleSources{Module: text}, read.converted)...)
	if len(faults) > 0 {
		return inspectedModule{Package: own, Uses: []string{}, Faults: faults}
	}
	return inspectedModule{
		Package:   own,
		Rule:      slices.ContainsFunc(read.author.Rules, isEntry),
		Uses:      uses,
		Converted: read.converted,
		Metadata:  said,
		Faults:    []fault{},
	}
}

func prepareRule(sources ruleSources) preparedRule {
	texts := append([]string{sources.Module}, sources.Libraries...)
	nothing := func(faults []fault) preparedRule {
		return preparedRule{Converted: make([]string, len(texts)), Modules: []loadedModule{}, Faults: faults}
	}
	result := nothing([]fault{})
	read := make([]*moduleText, len(texts))
	for i, text := range texts {
		var faults []fault
		read[i], faults = readModule(i, text)
		result.Faults = append(result.Faults, faults...)
		if read[i] != nil {
			result.Converted[i] = read[i].converted
		}
	}
	if len(result.Faults) > 0 {
		return result
	}
	said := metadata(read[0].author)
	if tooLarge := append(checkMetadata(0, said), checkWritten(sources, result.Converted...)...); len(tooLarge) > 0 {
		return nothing(tooLarge)
	}
	if result.Faults = append(result.Faults, checkEntries(read[0])...); len(result.Faults) > 0 {
		return result
	}
	renaming := newRenaming(sources.Root, read)
	for _, one := range read {
		result.Faults = append(result.Faults, renaming.check(one)...)
	}
	if len(result.Faults) > 0 {
		return result
	}
	if result.Faults = append(result.Faults, compileAll(read)...); len(result.Faults) > 0 {
		return result
	}
	ordered, faults := inOrder(read)
	if result.Faults = append(result.Faults, faults...); len(result.Faults) > 0 {
		return result
	}
	result.Metadata = said
	written := slices.Clone(result.Converted)
	for _, one := range ordered {
		loaded, faults := renaming.rename(one)
		if result.Faults = append(result.Faults, faults...); len(faults) > 0 {
			return result
		}
		result.Modules = append(result.Modules, loaded)
		written = append(written, loaded.Text)
		// Before the next is written: one by itself stays within the memory that there is.
		if tooLarge := checkWritten(sources, written...); len(tooLarge) > 0 {
			return nothing(tooLarge)
		}
	}
	result.Modules = append(result.Modules, renaming.entry(read[0]))
	result.Inventory = renaming.inventory
	if faults := compileTexts(result.Modules); len(faults) > 0 {
		result.Faults = append(result.Faults, faults...)
	}
	return result
}

// faultsOf takes an error of OPA apart. Limits are its own: ten errors.
func faultsOf(source int, err error) []fault {
	var list ast.Errors
	if !errors.As(err, &list) {
		if one, ok := errors.AsType[*ast.Error](err); ok {
			list = ast.Errors{one}
		} else {
			return []fault{{source, 0, 0, err.Error()}}
		}
	}
	faults := make([]fault, 0, len(list))
	for _, one := range list {
		faults = append(faults, faultAt(source, one.Location, one.Message))
	}
	return faults
}

func faultAt(source int, location *ast.Location, message string) fault {
	if location == nil {
		return fault{source, 0, 0, message}
	}
	return fault{source, location.Row, location.Col, message}
}
