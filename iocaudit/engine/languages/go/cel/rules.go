package main

import (
	"fmt"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
)

// compilers make those of single rules.
type compilers struct {
	base      *environment.EnvSet
	stateless plugincel.Compiler
	// plain is for rules without variables. To make a compiler takes longer than to compile a rule.
	plain *plugincel.CompositedCompiler
}

func newCompilers() *compilers {
	base := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	plain, err := plugincel.NewCompositedCompiler(base)
	if err != nil {
		panic(err) // of the environment alone, as in MustBaseEnvSet
	}
	return &compilers{base, plugincel.NewCompiler(base), plain}
}

// composited is a compiler for one rule: it keeps the variables of the rule.
func (c *compilers) composited() (*plugincel.CompositedCompiler, error) {
	return plugincel.NewCompositedCompiler(c.base)
}

// compiledRule is a rule that can be asked, or says why it cannot.
type compiledRule struct {
	validator *validator
	failure   string
	overtime  *overtime
}

// compiled makes of a rule what the API server makes of a ValidatingAdmissionPolicy with failurePolicy: Fail.
func (c *compilers) compiled(rule sourceRule) (*compiledRule, faults) {
	if found := c.checked(rule); len(found) > 0 {
		first := found[0]
		return &compiledRule{failure: fmt.Sprintf("the rule does not compile: %s: %s", first.Field, first.Message)}, found
	}
	compiler := c.plain
	if len(rule.Variables) > 0 {
		var err error
		if compiler, err = c.composited(); err != nil {
			return &compiledRule{failure: err.Error()}, faults{{Message: err.Error()}}
		}
	}
	const stored = environment.StoredExpressions
	for _, one := range rule.Variables {
		compiler.CompileAndStoreVariable((*variable)(&one), forConditions, stored)
	}
	failurePolicy := admissionregistrationv1.Fail
	var matcher matchconditions.Matcher
	if len(rule.MatchConditions) > 0 {
		conditions := make([]plugincel.ExpressionAccessor, len(rule.MatchConditions))
		for i, one := range rule.MatchConditions {
			conditions[i] = &matchconditions.MatchCondition{Name: one.Name, Expression: one.Expression}
		}
		matcher = matchconditions.NewMatcher(
			compiler.CompileCondition(conditions, forConditions, stored), &failurePolicy, "policy", "validate", "rule")
	}
	validations := make([]plugincel.ExpressionAccessor, len(rule.Validations))
	messages := make([]plugincel.ExpressionAccessor, len(rule.Validations))
	said := false
	for i, one := range rule.Validations {
		validations[i] = &validation{one.Expression, one.Message}
		if one.MessageExpression != "" {
			messages[i], said = (*messageExpression)(&one.MessageExpression), true
		}
	}
	made := &validator{matcher: matcher, validations: compiler.CompileCondition(validations, forConditions, stored)}
	if said {
		made.messages = compiler.CompileCondition(messages, forMessages, stored)
	}
	return &compiledRule{validator: made, overtime: newOvertime()}, nil
}

// rules are those that can be asked, by the digest of their sources: what is asked for is what answers.
type rules struct {
	compilers *compilers
	loading   sync.Mutex
	mutex     sync.RWMutex
	byDigest  map[string]*compiledRule
}

func newRules() *rules {
	return &rules{compilers: newCompilers(), byDigest: map[string]*compiledRule{}}
}

// check tells what is wrong with each rule, by its ID, and takes none.
func (r *rules) check(sources []sourceRule) map[string]faults {
	broken := map[string]faults{}
	for _, one := range sources {
		if found := r.compilers.checked(one); len(found) > 0 {
			broken[one.ID] = found
		}
	}
	return broken
}

// load takes these rules in place of all before, which can be asked until it is done. A rule that is there already is
// not compiled again.
func (r *rules) load(sources []sourceRule) map[string]faults {
	r.loading.Lock()
	defer r.loading.Unlock()
	next, broken := map[string]*compiledRule{}, map[string]faults{}
	for _, one := range sources {
		if known := r.find(one.ID); known != nil && known.failure == "" {
			next[one.ID] = known
			continue
		}
		rule, found := r.compilers.compiled(one)
		next[one.ID] = rule
		if len(found) > 0 {
			broken[one.ID] = found
		}
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.byDigest = next
	return broken
}

func (r *rules) find(digest string) *compiledRule {
	r.mutex.RLock()
	defer r.mutex.RUnlock()
	return r.byDigest[digest]
}
