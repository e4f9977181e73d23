package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

// moduleText is a module as its author wrote it, and in Rego v1.
type moduleText struct {
	source    int
	author    *ast.Module // as it was written, in v0 or v1
	module    *ast.Module // in v1
	converted string      // the text of module, where author is v0
}

// readModule recognises the version: what v1 refuses and v0 takes is v0.
func readModule(source int, text string) (*moduleText, []fault) {
	name := strconv.Itoa(source)
	options := ast.ParserOptions{
		ProcessAnnotation: true,
		Capabilities:      ast.CapabilitiesForThisVersion(),
		RegoVersion:       ast.RegoV1,
	}
	module, err := ast.ParseModuleWithOpts(name, text, options)
	if err == nil && module != nil {
		return &moduleText{source: source, author: module, module: module}, nil
	}
	v1 := err
	options.RegoVersion = ast.RegoV0
	module, err = ast.ParseModuleWithOpts(name, text, options)
	if err != nil || module == nil {
		if v1 == nil && err == nil {
			return nil, []fault{{source, 1, 1, "the module is empty: it needs a package and rules"}}
		}
		// What misses keywords of v1 alone was meant as v0, and its mistake is another.
		if lacksKeywords(v1) && err != nil {
			return nil, faultsOf(source, err)
		}
		return nil, faultsOf(source, v1)
	}
	if !lacksKeywords(v1) {
		// v0 lets "if", "in", "contains" and "every" be names: a text that fails for another reason is v1 with a mistake,
		// or v0 with such a name, which has to change.
		return nil, faultsOf(source, v1)
	}
	modern := module.Copy()
	modernise(modern)
	formatted, converted, err := inV1(name, modern)
	if err != nil {
		// A comment between the bodies of one rule is put where it breaks the text.
		modern.Comments = nil
		formatted, converted, err = inV1(name, modern)
	}
	if err != nil {
		return nil, inConverted(faultsOf(source, err))
	}
	return &moduleText{source, module, converted, formatted}, nil
}

// inV1 writes a module of v0 in v1: the text, and what it is.
func inV1(name string, module *ast.Module) (string, *ast.Module, error) {
	formatted, err := format.AstWithOpts(module, format.Opts{
		RegoVersion:                   ast.RegoV1,
		ParserOptions:                 &ast.ParserOptions{RegoVersion: ast.RegoV0},
		DropRedundantDirectiveImports: true,
	})
	if err != nil {
		return "", nil, err
	}
	converted, err := ast.ParseModuleWithOpts(name, string(formatted), ast.ParserOptions{
		ProcessAnnotation: true,
		Capabilities:      ast.CapabilitiesForThisVersion(),
		RegoVersion:       ast.RegoV1,
	})
	if err != nil {
		return "", nil, err
	}
	if len(converted.Rules) != len(module.Rules) {
		return "", nil, fmt.Errorf("it has %d rules in Rego v1, and %d in v0", len(converted.Rules), len(module.Rules))
	}
	return string(formatted), converted, nil
}

// lacksKeywords tells whether v1 refuses a text for what v0 did without, and for nothing else.
func lacksKeywords(err error) bool {
	faults := faultsOf(0, err)
	return len(faults) > 0 && !slices.ContainsFunc(faults, func(one fault) bool {
		return !strings.Contains(one.Message, "`if` keyword is required") &&
			!strings.Contains(one.Message, "`contains` keyword is required") &&
			!strings.Contains(one.Message, "must have value assignment and/or body declaration")
	})
}

func inConverted(faults []fault) []fault {
	for i, one := range faults {
		faults[i].Message = fmt.Sprintf("line %d of the text in Rego v1: %s", one.Line, one.Message)
		faults[i].Line, faults[i].Column = 0, 0
	}
	return faults
}

// modernise takes the built-in functions out of a module of v0 that v1 lacks. It means what it meant.
func modernise(module *ast.Module) {
	usesAll := false
	rewrite := func(operator *ast.Term, arguments []*ast.Term) []*ast.Term {
		ref, ok := operator.Value.(ast.Ref)
		if !ok {
			return nil
		}
		call := func(name string, arguments ...*ast.Term) []*ast.Term {
			return append([]*ast.Term{builtinTerm(name, operator.Location)}, arguments...)
		}
		switch ref.String() {
		case "any":
			if len(arguments) == 1 {
				return call(ast.Member.Name, ast.BooleanTerm(true), arguments[0])
			}
		case "all":
			if len(arguments) == 1 {
				usesAll = true
				return call(allOfV0, arguments[0])
			}
		case "re_match":
			return call(ast.RegexMatch.Name, arguments...)
		case "net.cidr_overlap":
			return call(ast.NetCIDRContains.Name, arguments...)
		case "set_diff":
			return call(ast.Minus.Name, arguments...)
		}
		return nil
	}
	ast.WalkNodes(module, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Expr:
			if terms, ok := node.Terms.([]*ast.Term); ok && len(terms) > 0 {
				if replaced := rewrite(terms[0], terms[1:]); replaced != nil {
					node.Terms = replaced
				}
			}
		case *ast.Term:
			if terms, ok := node.Value.(ast.Call); ok && len(terms) > 0 {
				if replaced := rewrite(terms[0], terms[1:]); replaced != nil {
					node.Value = ast.Call(replaced)
				}
			}
		}
		return false
	})
	if usesAll {
		helper := ast.MustParseModuleWithOpts("package v0\n"+allOfV0+"(items) := count([1 | some item in items; item != true]) == 0", ast.ParserOptions{RegoVersion: ast.RegoV1})
		rule := helper.Rules[0].Copy()
		rule.Module = module
		last := module.Rules[len(module.Rules)-1].Location
		ast.WalkNodes(rule, func(node ast.Node) bool {
			if node.Loc() != nil {
				location := *node.Loc()
				location.Row = last.Row + 1000
				node.SetLoc(&location)
			}
			return false
		})
		module.Rules = append(module.Rules, rule)
	}
}

// allOfV0 is the function that stands for all(), which v1 lacks.
const allOfV0 = "all_of_v0"

func builtinTerm(name string, location *ast.Location) *ast.Term {
	parts := strings.Split(name, ".")
	ref := ast.Ref{ast.VarTerm(parts[0])}
	for _, part := range parts[1:] {
		ref = append(ref, ast.StringTerm(part))
	}
	return ast.NewTerm(ref).SetLocation(location)
}

// mostFaults is how many mistakes are named at once.
const mostFaults = 10

// compileModules checks modules as `opa check --strict` does.
func compileModules(modules map[string]*ast.Module, strict bool) []fault {
	compiler := ast.NewCompiler().WithStrict(strict).WithCapabilities(ast.CapabilitiesForThisVersion())
	compiler.WithEnablePrintStatements(true).SetErrorLimit(0)
	compiler.Compile(modules)
	faults := []fault{}
	for _, one := range compiler.Errors[:min(len(compiler.Errors), mostFaults)] {
		source := 0
		if one.Location != nil {
			source, _ = strconv.Atoi(one.Location.File)
		}
		faults = append(faults, faultAt(source, one.Location, one.Message))
	}
	return faults
}

// compileAll checks the modules of a rule together, at the lines of their authors.
func compileAll(texts []*moduleText) []fault {
	authors, modules := map[string]*ast.Module{}, map[string]*ast.Module{}
	isV0 := false
	for _, one := range texts {
		name := strconv.Itoa(one.source)
		authors[name], modules[name] = one.author, one.module
		isV0 = isV0 || one.converted != ""
	}
	faults := compileModules(modules, true)
	if len(faults) == 0 || !isV0 {
		return faults
	}
	// The same at the author's lines, where it is the same.
	if original := compileModules(authors, true); len(original) > 0 {
		if kept := slices.DeleteFunc(original, deprecated); len(kept) > 0 {
			return kept
		}
	}
	for i, one := range faults {
		if texts[one.Source].converted != "" {
			faults[i] = inConverted([]fault{one})[0]
		}
	}
	return faults
}

func deprecated(one fault) bool {
	return strings.HasPrefix(one.Message, "deprecated built-in function")
}

// compileTexts is the proof that what is loaded will be taken.
func compileTexts(loaded []loadedModule) []fault {
	modules := map[string]*ast.Module{}
	for i, one := range loaded {
		name := strconv.Itoa(i)
		module, err := ast.ParseModuleWithOpts(name, one.Text, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			return []fault{{one.Source, 0, 0, "the module was not rewritten well: " + err.Error()}}
		}
		modules[name] = module
	}
	faults := compileModules(modules, false)
	for i, one := range faults {
		faults[i] = fault{loaded[one.Source].Source, 0, 0, "the module was not rewritten well: " + one.Message}
	}
	return faults
}
