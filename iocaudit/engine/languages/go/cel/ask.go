package main

import (
	"context"
	"errors"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

// question is one request for some rules.
type question struct {
	Rules     []askedRule      `json:"rules"`
	Request   admissionRequest `json:"request"`
	Namespace map[string]any   `json:"namespace"`
}

type askedRule struct {
	ID         string         `json:"id"`
	Parameters map[string]any `json:"parameters"`
}

type kind struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

type resource struct {
	Group    string `json:"group"`
	Version  string `json:"version"`
	Resource string `json:"resource"`
}

// admissionRequest is that of an AdmissionReview.
type admissionRequest struct {
	Kind            kind                      `json:"kind"`
	Resource        resource                  `json:"resource"`
	SubResource     string                    `json:"subResource"`
	RequestKind     *kind                     `json:"requestKind"`
	RequestResource *resource                 `json:"requestResource"`
	Name            string                    `json:"name"`
	Namespace       string                    `json:"namespace"`
	Operation       string                    `json:"operation"`
	UserInfo        authenticationv1.UserInfo `json:"userInfo"`
	Object          map[string]any            `json:"object"`
	OldObject       map[string]any            `json:"oldObject"`
	DryRun          *bool                     `json:"dryRun"`
	Options         map[string]any            `json:"options"`
}

// answer is what one rule says: nothing where it holds or does not apply.
type answer struct {
	Violations []decision `json:"violations,omitempty"`
	// Errors are of single validations; a Failure is of the whole rule.
	Errors  []decision `json:"errors,omitempty"`
	Failure string     `json:"failure,omitempty"`
}

type decision struct {
	Validation int    `json:"validation"`
	Message    string `json:"message"`
}

func (r *rules) ask(ctx context.Context, asked question) []answer {
	answers := make([]answer, len(asked.Rules))
	slow := map[int]<-chan answer{}
	input, err := asked.input()
	for i, one := range asked.Rules {
		switch rule := r.find(one.ID); {
		case err != nil:
			answers[i].Failure = err.Error()
		case rule == nil:
			answers[i].Failure = "the rule is not loaded"
		case rule.failure != "":
			answers[i].Failure = rule.failure
		default:
			given := rule.overtime.start(ctx, func() answer { return input.judge(ctx, rule, object(one.Parameters)) })
			if said, ok := inTurn(ctx, given); ok {
				answers[i] = said
			} else {
				slow[i] = given
			}
		}
	}
	for i, given := range slow {
		answers[i] = atLast(ctx, given)
	}
	return answers
}

// input is a request in the API server's own types.
type input struct {
	attributes *admission.VersionedAttributes
	resource   schema.GroupVersionResource
	namespace  *corev1.Namespace
}

func (q question) input() (*input, error) {
	asked := q.Request
	gvk := schema.GroupVersionKind(asked.Kind)
	gvr := schema.GroupVersionResource(asked.Resource)
	requestKind, requestResource := gvk, gvr
	if asked.RequestKind != nil {
		requestKind = schema.GroupVersionKind(*asked.RequestKind)
	}
	if asked.RequestResource != nil {
		requestResource = schema.GroupVersionResource(*asked.RequestResource)
	}
	attributes := admission.NewAttributesRecord(
		object(asked.Object), object(asked.OldObject), requestKind, asked.Namespace, asked.Name, requestResource,
		asked.SubResource, admission.Operation(asked.Operation), object(asked.Options),
		asked.DryRun != nil && *asked.DryRun, userOf(asked.UserInfo))
	made := &input{
		attributes: &admission.VersionedAttributes{
			Attributes:         attributes,
			VersionedObject:    object(asked.Object),
			VersionedOldObject: object(asked.OldObject),
			VersionedKind:      gvk,
		},
		resource: gvr,
	}
	// The API server binds none for what is in no namespace, nor for a Namespace itself.
	isNamespace := requestKind == schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	if q.Namespace != nil && asked.Namespace != "" && !isNamespace {
		made.namespace = &corev1.Namespace{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(q.Namespace, made.namespace); err != nil {
			return nil, fmt.Errorf("the namespace cannot be read: %w", err)
		}
	}
	return made, nil
}

// object is nil, and not an interface that holds nil, where there is none.
func object(content map[string]any) runtime.Object {
	if len(content) == 0 {
		return nil
	}
	return &unstructured.Unstructured{Object: content}
}

func userOf(asked authenticationv1.UserInfo) user.Info {
	extra := make(map[string][]string, len(asked.Extra))
	for key, values := range asked.Extra {
		extra[key] = values
	}
	return &user.DefaultInfo{Name: asked.Username, UID: asked.UID, Groups: asked.Groups, Extra: extra}
}

func (i *input) judge(ctx context.Context, rule *compiledRule, params runtime.Object) (given answer) {
	defer func() {
		if cause := recover(); cause != nil {
			given = answer{Failure: fmt.Sprint("the evaluation failed: ", cause)}
		}
	}()
	if ctx.Err() != nil {
		return answer{Failure: late(ctx)}
	}
	given = rule.validator.validate(ctx, i, params)
	// What was interrupted looks like an error of the expression, and says nothing about it.
	if ctx.Err() != nil {
		return answer{Failure: late(ctx)}
	}
	return given
}

func late(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "the answer came too late"
	}
	return "the question was withdrawn"
}
