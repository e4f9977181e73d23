package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	celtypes "github.com/google/cel-go/common/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// What stands here is what k8s.io/apiserver/pkg/admission/plugin/policy/validating makes of the results of expressions.
// That package brings the clients and informers of all kinds: seven minutes of compiling instead of one. The expressions
// themselves are evaluated by the packages that it calls, and a test holds the outcome to that of an API server.

type validation struct{ expression, message string }

func (v *validation) GetExpression() string    { return v.expression }
func (v *validation) ReturnTypes() []*cel.Type { return []*cel.Type{cel.BoolType} }

type messageExpression string

func (m *messageExpression) GetExpression() string    { return string(*m) }
func (m *messageExpression) ReturnTypes() []*cel.Type { return []*cel.Type{cel.StringType} }

type variable named

func (v *variable) GetName() string          { return v.Name }
func (v *variable) GetExpression() string    { return v.Expression }
func (v *variable) ReturnTypes() []*cel.Type { return []*cel.Type{cel.AnyType, cel.DynType} }

// validator is a compiled rule. It has no matcher without match conditions, and no messages without expressions for them.
type validator struct {
	matcher               matchconditions.Matcher
	validations, messages plugincel.ConditionEvaluator
}

// validate judges a request. A failure is of the whole rule: of a match condition, or that the cost is over the limit.
func (v *validator) validate(ctx context.Context, asked *input, params runtime.Object) (given answer) {
	if v.matcher != nil {
		matched := v.matcher.Match(ctx, asked.attributes, params, nil)
		if matched.Error != nil {
			return answer{Failure: matched.Error.Error()}
		}
		if !matched.Matches {
			return answer{}
		}
	}
	bindings := plugincel.OptionalVariableBindings{VersionedParams: params}
	request := plugincel.CreateAdmissionRequest(
		asked.attributes.Attributes, metav1.GroupVersionResource(asked.resource), metav1.GroupVersionKind(asked.attributes.VersionedKind))
	namespace := plugincel.CreateNamespaceObject(asked.namespace)
	results, budget, err := v.validations.ForInput(
		ctx, asked.attributes, request, bindings, namespace, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return answer{Failure: err.Error()}
	}
	var messages []plugincel.EvaluationResult
	if v.messages != nil {
		// All are evaluated, also those of validations that are true: their cost counts.
		messages, _, err = v.messages.ForInput(ctx, asked.attributes, request, bindings, namespace, budget)
	}
	tooCostly := errors.Is(err, apiservercel.ErrInternal) || errors.Is(err, apiservercel.ErrOutOfBudget)
	for number, result := range results {
		switch {
		case result.Error != nil:
			given.Errors = append(given.Errors, decision{number, result.Error.Error()})
		case tooCostly:
			given.Errors = append(given.Errors, decision{number, fmt.Sprintf("failed messageExpression: %s", err)})
		case result.EvalResult != celtypes.True:
			said := ""
			if number < len(messages) {
				said = evaluatedMessage(messages[number])
			}
			written := result.ExpressionAccessor.(*validation)
			if said == "" {
				said = strings.TrimSpace(written.message)
			}
			if said == "" {
				said = "failed expression: " + strings.TrimSpace(written.expression)
			}
			given.Violations = append(given.Violations, decision{number, said})
		}
	}
	return given
}

// evaluatedMessage is empty where the expression failed, or gave what is not a line of text of at most 5 KiB.
func evaluatedMessage(result plugincel.EvaluationResult) string {
	if result.Error != nil || result.EvalResult == nil {
		return ""
	}
	text, isText := result.EvalResult.Value().(string)
	text = strings.TrimSpace(text)
	if !isText || len(text) > celconfig.MaxEvaluatedMessageExpressionSizeBytes || strings.Contains(text, "\n") {
		return ""
	}
	return text
}
