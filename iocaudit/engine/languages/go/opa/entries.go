package main

import (
	"fmt"
	"maps"

	"github.com/open-policy-agent/opa/v1/ast"
)

// entryNames are the sets of violations that a rule may have.
var entryNames = []string{"deny", "violation"}

func isEntry(rule *ast.Rule) bool {
	for _, name := range entryNames {
		if ruleName(rule) == name {
			return true
		}
	}
	return false
}

func ruleName(rule *ast.Rule) string {
	name, _ := rule.Head.Ref()[0].Value.(ast.Var)
	return string(name)
}

// checkEntries says what is wrong with the shape of a rule's sets.
func checkEntries(text *moduleText) []fault {
	faults := []fault{}
	found := false
	for _, rule := range text.author.Rules {
		if !isEntry(rule) {
			continue
		}
		found = true
		name := ruleName(rule)
		wanted := fmt.Sprintf("it has to be a set of messages or objects: `%s contains msg if { … }`", name)
		switch {
		case len(rule.Head.Args) > 0:
			faults = append(faults, faultAt(text.source, rule.Location, name+" is a function: "+wanted))
		case rule.Default:
			faults = append(faults, faultAt(text.source, rule.Location, name+" has a default: "+wanted))
		case rule.Head.RuleKind() != ast.MultiValue && len(rule.Head.Ref()) > 1:
			faults = append(faults, faultAt(text.source, rule.Location, name+" is an object: "+wanted))
		case rule.Head.RuleKind() != ast.MultiValue:
			faults = append(faults, faultAt(text.source, rule.Location, name+" is a single value: "+wanted))
		case len(rule.Head.Ref()) > 1:
			faults = append(faults, faultAt(text.source, rule.Location, name+" is an object of sets: "+wanted))
		}
	}
	if !found {
		faults = append(faults, faultAt(text.source, text.author.Package.Location,
			"the module has neither `deny contains msg if { … }` nor `violation contains {\"msg\": msg} if { … }`"))
	}
	return faults
}

// metadata is what the annotations of a module say of its rule: those of the package, and above these those of the first
// deny or violation that has any. Those of functions and of other rules are not about it.
func metadata(module *ast.Module) map[string]any {
	result := map[string]any{}
	custom := map[string]any{}
	add := func(one *ast.Annotations) {
		if one.Title != "" {
			result["title"] = one.Title
		}
		if one.Description != "" {
			result["description"] = one.Description
		}
		maps.Copy(custom, one.Custom)
		if one.Location != nil {
			result["line"] = one.Location.Row
		}
	}
	for _, one := range module.Annotations {
		if one.Scope == "package" || one.Scope == "subpackages" {
			add(one)
		}
	}
	for _, rule := range module.Rules {
		if isEntry(rule) && len(rule.Annotations) > 0 {
			for _, one := range rule.Annotations {
				add(one)
			}
			break
		}
	}
	if len(custom) > 0 {
		result["custom"] = custom
	}
	return result
}
