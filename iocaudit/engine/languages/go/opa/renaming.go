package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
)

const (
	// rulesRoot is where the rules stand: data.iocaudit.rules.ROOT.m.PACKAGE, with data.iocaudit.rules.ROOT.sets beside.
	rulesRoot    = "iocaudit.rules"
	modulesBelow = "m"
	// inventoryRoot is what data.inventory becomes: whoever asks puts the objects there for one query.
	inventoryRoot = "iocaudit.inventory"
	inventoryName = "inventory"
)

// renaming moves the packages of one rule below a root of its own.
type renaming struct {
	root      string
	packages  [][]string
	rules     map[string]map[string]bool // by package, the names of its rules
	inventory bool
}

func newRenaming(root string, texts []*moduleText) *renaming {
	result := &renaming{root: root, rules: map[string]map[string]bool{}}
	for _, one := range texts {
		name := packageName(one.author)
		if result.rules[name] == nil {
			result.rules[name] = map[string]bool{}
			result.packages = append(result.packages, packagePath(one.author))
		}
		for _, rule := range one.module.Rules {
			result.rules[name][ruleName(rule)] = true
		}
	}
	return result
}

// dataRef is a reference to data, whole: as an import or in a rule.
type dataRef struct {
	ref      ast.Ref
	isImport bool
}

// dataRefs are the references of a module to data, with those that go through an import.
func dataRefs(module *ast.Module) []dataRef {
	found := []dataRef{}
	imports := map[ast.Var]ast.Ref{}
	for _, one := range module.Imports {
		if path, ok := one.Path.Value.(ast.Ref); ok && isData(path) {
			found = append(found, dataRef{path, true})
			imports[one.Name()] = path
		}
	}
	for _, rule := range module.Rules {
		walkRefs(rule, func(ref ast.Ref) {
			if isData(ref) {
				found = append(found, dataRef{ref, false})
			} else if head, ok := ref[0].Value.(ast.Var); ok && imports[head] != nil {
				// A local variable may have the name of an import: then this one is asked for in vain.
				found = append(found, dataRef{append(slices.Clone(imports[head]), ref[1:]...), true})
			}
		})
	}
	return found
}

// walkRefs also goes into the references of heads.
func walkRefs(node any, see func(ast.Ref)) {
	ast.WalkRefs(node, func(ref ast.Ref) bool {
		see(ref)
		return false
	})
	ast.WalkRules(node, func(rule *ast.Rule) bool {
		for _, term := range rule.Head.Ref()[1:] {
			ast.WalkRefs(term, func(ref ast.Ref) bool {
				see(ref)
				return false
			})
		}
		return false
	})
}

func isData(ref ast.Ref) bool {
	return len(ref) > 0 && ref[0].Value.Compare(ast.DefaultRootDocument.Value) == 0
}

// fixed are the names at the beginning of a reference, without data.
func fixed(ref ast.Ref) []string {
	names := []string{}
	for _, term := range ref[1:] {
		name, ok := term.Value.(ast.String)
		if !ok {
			break
		}
		names = append(names, string(name))
	}
	return names
}

func dotted(ref ast.Ref) string { return strings.Join(fixed(ref), ".") }

func packagePath(module *ast.Module) []string { return fixed(module.Package.Path) }

func packageName(module *ast.Module) string { return strings.Join(packagePath(module), ".") }

// check says which references lead out of the rule.
func (r *renaming) check(text *moduleText) []fault {
	faults := []fault{}
	if name := packageName(text.author); name == inventoryRoot || strings.HasPrefix(name, inventoryRoot+".") {
		return append(faults, faultAt(text.source, text.author.Package.Location, "package "+name+" is taken: choose another name"))
	}
	// The author's own text has the lines that the author knows.
	for _, one := range dataRefs(text.author) {
		if problem := r.problem(one); problem != "" {
			at := faultAt(text.source, one.ref[0].Location, problem)
			if !slices.Contains(faults, at) {
				faults = append(faults, at)
			}
		}
	}
	return faults
}

func (r *renaming) problem(one dataRef) string {
	names := fixed(one.ref)
	name := strings.Join(names, ".")
	if len(names) == 0 {
		return "data is used as a whole: name the package, as in data.lib.name"
	}
	if name == inventoryRoot || strings.HasPrefix(name, inventoryRoot+".") {
		return "data." + name + " is taken: choose another name for the package or its rule"
	}
	for _, path := range r.packages {
		known := min(len(path), len(names))
		if !slices.Equal(path[:known], names[:known]) {
			continue
		}
		if len(names) <= len(path) {
			return ""
		}
		if r.rules[strings.Join(path, ".")][names[len(path)]] || r.isPackage(names) {
			return ""
		}
		return fmt.Sprintf("data.%s: package %s has no rule %s", name, strings.Join(path, "."), names[len(path)])
	}
	if names[0] == inventoryName {
		return ""
	}
	return fmt.Sprintf("data.%s is in none of the modules of this rule: a rule sees its input, its libraries and data.inventory", name)
}

// isPackage tells whether names lead to, or into, another package.
func (r *renaming) isPackage(names []string) bool {
	return slices.ContainsFunc(r.packages, func(path []string) bool {
		known := min(len(path), len(names))
		return slices.Equal(path[:known], names[:known]) &&
			(len(names) <= len(path) || r.rules[strings.Join(path, ".")][names[len(path)]])
	})
}

// moved is where a reference to data leads after the renaming.
func (r *renaming) moved(ref ast.Ref) ast.Ref {
	names := fixed(ref)
	for _, path := range r.packages {
		if known := min(len(path), len(names)); known > 0 && slices.Equal(path[:known], names[:known]) {
			return insert(ref, strings.Split(rulesRoot+"."+r.root+"."+modulesBelow, "."), 1)
		}
	}
	r.inventory = true
	return insert(ref, strings.Split(inventoryRoot, "."), 2)
}

// insert puts names in place of the terms between the first and number rest.
func insert(ref ast.Ref, names []string, rest int) ast.Ref {
	result := ast.Ref{ref[0]}
	for _, name := range names {
		result = append(result, &ast.Term{Value: ast.String(name), Location: ref[0].Location})
	}
	return append(result, ref[rest:]...)
}

// rename writes a module anew.
func (r *renaming) rename(text *moduleText) (loadedModule, []fault) {
	module := text.module.Copy()
	module.Annotations, module.Comments = nil, nil
	for _, rule := range module.Rules {
		rule.Annotations = nil
	}
	module.Package.Path = insert(module.Package.Path, strings.Split(rulesRoot+"."+r.root+"."+modulesBelow, "."), 1)
	for _, one := range module.Imports {
		if path, ok := one.Path.Value.(ast.Ref); ok && isData(path) {
			one.Path = ast.NewTerm(r.moved(path)).SetLocation(one.Path.Location)
		}
	}
	for _, rule := range module.Rules {
		if _, err := ast.Transform(&mover{r}, rule); err != nil {
			return loadedModule{}, faultsOf(text.source, err)
		}
	}
	for _, rule := range module.Rules {
		left := ""
		walkRefs(rule, func(ref ast.Ref) {
			if isData(ref) && !r.isMoved(ref) {
				left = ref.String()
			}
		})
		if left != "" {
			return loadedModule{}, []fault{faultAt(text.source, rule.Location, left+" is used here in a way that is not accepted")}
		}
	}
	formatted, err := format.AstWithOpts(module, format.Opts{
		RegoVersionSpan:               text.module.RegoVersionSpan(),
		ParserOptions:                 &ast.ParserOptions{RegoVersion: ast.RegoV1},
		DropRedundantDirectiveImports: true,
	})
	if err != nil {
		return loadedModule{}, faultsOf(text.source, err)
	}
	return loadedModule{text.source, string(formatted), lines(string(formatted), text.author)}, nil
}

// mover moves the references in a rule.
type mover struct{ renaming *renaming }

func (m *mover) Transform(node any) (any, error) {
	switch node := node.(type) {
	case ast.Ref:
		if isData(node) && !m.renaming.isMoved(node) {
			return m.renaming.moved(node), nil
		}
	// ast.Transform goes into neither the terms of a template nor those of `some … in …`.
	case *ast.TemplateString:
		for _, part := range node.Parts {
			if term, ok := part.(*ast.Term); ok {
				if err := m.moveTerm(term); err != nil {
					return nil, err
				}
			}
		}
	case *ast.SomeDecl:
		for _, term := range node.Symbols {
			if err := m.moveTerm(term); err != nil {
				return nil, err
			}
		}
	}
	return node, nil
}

func (m *mover) moveTerm(term *ast.Term) error {
	moved, err := ast.Transform(m, term.Value)
	if err != nil {
		return err
	}
	value, ok := moved.(ast.Value)
	if !ok {
		return fmt.Errorf("%T is not a value", moved)
	}
	term.Value = value
	return nil
}

func (r *renaming) isMoved(ref ast.Ref) bool {
	name := dotted(ref)
	for _, root := range []string{rulesRoot + "." + r.root + "." + modulesBelow, inventoryRoot} {
		if name == root || strings.HasPrefix(name, root+".") {
			return true
		}
	}
	return false
}

// lines pairs the lines of rules with those in the author's text.
func lines(text string, author *ast.Module) [][2]int {
	pairs := [][2]int{}
	module, err := ast.ParseModuleWithOpts("", text, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return pairs
	}
	for i, rule := range module.Rules {
		if i < len(author.Rules) {
			pairs = append(pairs, [2]int{rule.Location.Row, author.Rules[i].Location.Row})
		}
	}
	return pairs
}

// entry is the module that is asked: the sets of violations, each by its name.
func (r *renaming) entry(text *moduleText) loadedModule {
	var builder strings.Builder
	fmt.Fprintf(&builder, "package %s.%s\n", rulesRoot, r.root)
	for _, name := range entryNames {
		if slices.ContainsFunc(text.author.Rules, func(rule *ast.Rule) bool { return ruleName(rule) == name }) {
			ref := insert(text.author.Package.Path, strings.Split(rulesRoot+"."+r.root+"."+modulesBelow, "."), 1)
			fmt.Fprintf(&builder, "\nsets.%s := %s.%s\n", name, ref, name)
		}
	}
	return loadedModule{text.source, builder.String(), [][2]int{}}
}

// inOrder puts each module after those that it refers to, as they are loaded one after another.
func inOrder(texts []*moduleText) ([]*moduleText, []fault) {
	ordered := []*moduleText{}
	const open, done = 1, 2
	state := map[*moduleText]int{}
	var faults []fault
	var visit func(one *moduleText)
	visit = func(one *moduleText) {
		state[one] = open
		for _, used := range dataRefs(one.module) {
			for _, other := range texts {
				if other == one || !begins(fixed(used.ref), packagePath(other.module)) {
					continue
				}
				switch state[other] {
				case open:
					problem := fmt.Sprintf("packages %s and %s use each other: put them in one module", packageName(one.author), packageName(other.author))
					faults = append(faults, faultAt(one.source, one.author.Package.Location, problem))
				case 0:
					visit(other)
				}
			}
		}
		state[one] = done
		ordered = append(ordered, one)
	}
	// The module last: it may use rules of libraries that share its package without naming it.
	for _, one := range append(slices.Clone(texts[1:]), texts[0]) {
		if state[one] == 0 {
			visit(one)
		}
	}
	return ordered, faults
}

func begins(names, path []string) bool {
	return len(names) >= len(path) && slices.Equal(names[:len(path)], path)
}
