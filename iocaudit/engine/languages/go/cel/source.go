package main

import (
	"fmt"
	"regexp"
	"strings"

	kubernetes "k8s.io/apimachinery/pkg/util/validation"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// sourceRule is a rule as it was written: a part of the spec of a ValidatingAdmissionPolicy, under the same names.
type sourceRule struct {
	// ID stands for the rule in what is answered about it: its name, or the digest of its source.
	ID              string           `json:"id"`
	MatchConditions []named          `json:"matchConditions"`
	Variables       []named          `json:"variables"`
	Validations     []validationRule `json:"validations"`
}

type named struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

type validationRule struct {
	Expression        string `json:"expression"`
	Message           string `json:"message"`
	MessageExpression string `json:"messageExpression"`
}

// fault is what is wrong with one field of a rule. Line and column are within the field, and 0 where all of it is meant.
type fault struct {
	Field   string `json:"field"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

type faults []fault

const mostMatchConditions = 64

// Which expressions see what. An AuditPolicy always hands over its parameters, so params is always declared.
var (
	forConditions = plugincel.OptionalVariableDeclarations{HasParams: true, HasAuthorizer: true}
	forMessages   = plugincel.OptionalVariableDeclarations{HasParams: true}

	identifier = regexp.MustCompile(`^[_a-zA-Z][_a-zA-Z0-9]*$`)
	newline    = regexp.MustCompile(`[\n\r]+`)
)

// The words that CEL keeps for itself.
var reserved = map[string]bool{}

func init() {
	for _, word := range strings.Fields(`true false null in as break const continue else for function if import let loop
		package namespace return var void while`) {
		reserved[word] = true
	}
}

// checked compiles a rule as the API server does before it stores a ValidatingAdmissionPolicy, and tells what is wrong.
// Source of the order and of which environment holds where: pkg/apis/admissionregistration/validation of Kubernetes.
func (c *compilers) checked(rule sourceRule) faults {
	found := &finder{compilers: c, stateless: c.stateless, compiler: c.stateless}
	found.matchConditions(rule.MatchConditions)
	if len(rule.Variables) > 0 {
		found.variables(rule.Variables)
	}
	if len(rule.Validations) == 0 {
		found.add("validations", "at least one is needed")
	}
	for i, one := range rule.Validations {
		found.validation(fmt.Sprintf("validations[%d]", i), one)
	}
	return found.faults
}

type finder struct {
	compilers *compilers
	// stateless knows no variables: that of the match conditions, and of rules without variables.
	stateless, compiler plugincel.Compiler
	faults              faults
}

func (f *finder) add(field, message string) {
	f.faults = append(f.faults, fault{Field: field, Message: message})
}

func (f *finder) matchConditions(conditions []named) {
	if len(conditions) > mostMatchConditions {
		f.add("matchConditions", fmt.Sprintf("has %d items, at most %d are taken", len(conditions), mostMatchConditions))
	}
	names := map[string]bool{}
	for i, one := range conditions {
		field := fmt.Sprintf("matchConditions[%d]", i)
		if f.given(field+".expression", one.Expression) {
			f.compile(field+".expression", &matchconditions.MatchCondition{Expression: strings.TrimSpace(one.Expression)}, f.stateless, forConditions)
		}
		if f.given(field+".name", one.Name) {
			for _, problem := range kubernetes.IsQualifiedName(one.Name) {
				f.add(field+".name", problem)
			}
			f.once(names, field+".name", one.Name)
		}
	}
}

func (f *finder) variables(variables []named) {
	composited, err := f.compilers.composited()
	if err != nil {
		f.add("variables", err.Error())
		return
	}
	f.compiler = composited
	names := map[string]bool{}
	for i, one := range variables {
		field := fmt.Sprintf("variables[%d]", i)
		if f.given(field+".name", one.Name) {
			if !identifier.MatchString(one.Name) || reserved[one.Name] {
				f.add(field+".name", fmt.Sprintf("%q is not an identifier of CEL", one.Name))
			}
			// The API server takes the last one of a name, also for what stands before it.
			f.once(names, field+".name", one.Name)
		}
		if f.given(field+".expression", one.Expression) {
			asked := (*variable)(&one)
			if f.judge(field+".expression", composited.CompileAndStoreVariable(asked, forConditions, environment.NewExpressions).Error) {
				f.withoutAuthorizer(field+".expression", asked, composited)
			}
		}
	}
}

func (f *finder) validation(field string, one validationRule) {
	if f.given(field+".expression", one.Expression) {
		f.compile(field+".expression", &validation{expression: one.Expression}, f.compiler, forConditions)
	}
	if one.MessageExpression != "" && f.given(field+".messageExpression", one.MessageExpression) {
		f.compile(field+".messageExpression", (*messageExpression)(&one.MessageExpression), f.compiler, forMessages)
	}
	if one.Message != "" && f.given(field+".message", one.Message) && newline.MatchString(strings.TrimSpace(one.Message)) {
		f.add(field+".message", "a message is one line")
	}
}

// given tells whether a text says anything, and that it has to where it does not.
func (f *finder) given(field, text string) bool {
	if strings.TrimSpace(text) == "" {
		f.add(field, "is empty")
		return false
	}
	return true
}

func (f *finder) once(seen map[string]bool, field, name string) {
	if seen[name] {
		f.add(field, fmt.Sprintf("%q is there twice", name))
	}
	seen[name] = true
}

func (f *finder) compile(field string, expression plugincel.ExpressionAccessor, compiler plugincel.Compiler, sees plugincel.OptionalVariableDeclarations) {
	if f.judge(field, compiler.CompileCELExpression(expression, sees, environment.NewExpressions).Error) && sees.HasAuthorizer {
		f.withoutAuthorizer(field, expression, compiler)
	}
}

// withoutAuthorizer refuses what would ask the API server what a user may do: there is nobody to ask where a file is
// scanned, or what stands in a cluster, and no answer would be the same as that to a request.
func (f *finder) withoutAuthorizer(field string, expression plugincel.ExpressionAccessor, compiler plugincel.Compiler) {
	if !strings.Contains(expression.GetExpression(), plugincel.AuthorizerVarName) {
		return
	}
	if compiler.CompileCELExpression(expression, forMessages, environment.NewExpressions).Error != nil {
		f.add(field, "authorizer asks the API server what a user may do, and is not available to rules")
	}
}

// judge notes what a compiler refused, and tells whether it refused nothing.
func (f *finder) judge(field string, refusal *apiservercel.Error) bool {
	if refusal == nil {
		return true
	}
	if compilation, ok := refusal.Cause.(*apiservercel.CompilationError); ok {
		for _, one := range compilation.Issues.Errors() {
			f.faults = append(f.faults, fault{field, one.Location.Line(), one.Location.Column() + 1, one.Message})
		}
		return false
	}
	f.add(field, refusal.Detail)
	return false
}
