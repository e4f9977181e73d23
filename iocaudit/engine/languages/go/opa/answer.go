package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
)

const (
	// routerName is that of the module whose answer is worked out here (rego/router.py). One of another text has
	// another name, and its questions are left to OPA.
	routerName   = "v3c62fba02bef40fa"
	routerPolicy = "iocaudit/router/" + routerName
	answerPath   = "/v1/data/iocaudit/router/" + routerName + "/answer"
	// directly is a header of the answers that were worked out here.
	directly = "Iocaudit-Answered-Directly"
	// mostQuestion is how large a question may be that is read here: what rules look up is left to OPA.
	mostQuestion = 4 << 20
	// mostPrepared is how many rules are kept ready.
	mostPrepared = 4096
	answerVar    = ast.Var("answer")
)

var (
	rootName = regexp.MustCompile(`^r[0-9a-f]{40}$`)
	errLeft  = errors.New("left to OPA")

	inputTerm, revisionTerm, askedTerm   = ast.StringTerm("input"), ast.StringTerm("revision"), ast.StringTerm("asked")
	requestTerm, namespaceTerm           = ast.StringTerm("request"), ast.StringTerm("namespace")
	inventoryTerm, parametersTerm        = ast.StringTerm("inventory"), ast.StringTerm("parameters")
	rulesTerm, operationTerm, objectTerm = ast.StringTerm("rules"), ast.StringTerm("operation"), ast.StringTerm("object")
	namespaceObjectTerm, unstableTerm    = ast.StringTerm("namespaceObject"), ast.StringTerm("_unstable")
	reviewTerm, iocauditTerm, setsTerm   = ast.StringTerm("review"), ast.StringTerm("iocaudit"), ast.StringTerm("sets")
	loadedTerm                           = ast.StringTerm("loaded")
)

// answering works out the answer of the router module without evaluating it: the input of the rules is read once and
// put together once, and each rule is a query that was compiled before. That takes half of the time. What it does not
// know, and every error, is left to OPA, which says the same in its own words.
type answering struct {
	opa     http.Handler
	store   storage.Store
	manager *plugins.Manager
	values  cache.InterQueryValueCache

	lock     sync.Mutex
	compiler *ast.Compiler
	prepared map[string][]preparedQuery
}

// preparedQuery is compiled for one set of loaded modules. Its name is that of a set of violations.
type preparedQuery struct {
	name     string
	body     ast.Body
	compiler ast.QueryCompiler
}

func withAnswers(ctx context.Context, opa http.Handler, store storage.Store, manager *plugins.Manager) http.Handler {
	values := cache.NewInterQueryValueCache(ctx, manager.InterQueryBuiltinCacheConfig())
	return &answering{opa: opa, store: store, manager: manager, values: values}
}

func (a *answering) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	size := request.ContentLength
	if request.URL.Path != answerPath || request.Method != http.MethodPost || request.URL.RawQuery != "" ||
		request.Header.Get("Content-Encoding") != "" || size <= 0 || size > mostQuestion {
		a.opa.ServeHTTP(response, request)
		return
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(request.Body, body); err != nil {
		refuse(response, http.StatusBadRequest, "invalid_parameter")
		return
	}
	answer, err := a.answer(request.Context(), body)
	if request.Context().Err() != nil {
		return // who asked has left
	}
	if err != nil {
		request.Body = io.NopCloser(bytes.NewReader(body))
		a.opa.ServeHTTP(response, request)
		return
	}
	response.Header().Set("Content-Type", "application/json")
	response.Header().Set(directly, "true")
	_, _ = response.Write(answer)
}

func (a *answering) answer(ctx context.Context, body []byte) ([]byte, error) {
	read, err := readValue(body)
	if err != nil {
		return nil, err
	}
	whole, ok := read.(ast.Object)
	if !ok || whole.Len() != 1 {
		return nil, errLeft
	}
	input, ok := valueIn[ast.Object](whole, inputTerm)
	if !ok || input.Get(inventoryTerm) != nil {
		return nil, errLeft
	}
	asked, ok := valueIn[*ast.Array](input, askedTerm)
	if !ok {
		return nil, errLeft
	}
	shared, err := sharedOf(input)
	if err != nil {
		return nil, err
	}
	txn, err := a.store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer a.store.Abort(ctx, txn)
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	// The store takes modules and their compiler together, so this one is that of the transaction.
	run := evaluation{a, ctx, txn, a.manager.GetCompiler(), cancel, time.Now()}
	if run.compiler == nil || run.compiler.Modules[routerPolicy] == nil {
		return nil, errLeft
	}
	revision := input.Get(revisionTerm)
	isLoaded, err := run.isLoaded(revision)
	if err != nil {
		return nil, err
	}
	if !isLoaded {
		return []byte(`{"result":{"loaded":false}}`), nil
	}
	answers := map[string]any{}
	if err := asked.Iter(func(group *ast.Term) error { return run.askGroup(group, shared, answers) }); err != nil {
		return nil, err
	}
	told, err := ast.JSON(revision.Value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"result": map[string]any{"loaded": true, "revision": told, "answers": answers},
	})
}

// sharedOf is what all rules of a question are handed, beside their parameters.
func sharedOf(input ast.Object) ([][2]*ast.Term, error) {
	request, ok := valueIn[ast.Object](input, requestTerm)
	if !ok {
		return nil, errLeft
	}
	operation, ok := valueIn[ast.String](request, operationTerm)
	object := request.Get(objectTerm)
	if !ok || operation == "DELETE" || object == nil {
		return nil, errLeft
	}
	review := request
	if namespace := input.Get(namespaceTerm); namespace != nil {
		_, ok := namespace.Value.(ast.Object)
		if !ok || request.Get(namespaceObjectTerm) != nil || request.Get(unstableTerm) != nil {
			return nil, errLeft
		}
		review = ast.NewObject(
			[2]*ast.Term{namespaceObjectTerm, namespace},
			[2]*ast.Term{unstableTerm, ast.ObjectTerm([2]*ast.Term{namespaceTerm, namespace})},
		)
		request.Foreach(review.Insert)
	}
	return [][2]*ast.Term{
		{requestTerm, ast.NewTerm(request)},
		{reviewTerm, ast.NewTerm(review)},
		{objectTerm, object},
	}, nil
}

// evaluation is the work on one question.
type evaluation struct {
	*answering
	ctx      context.Context
	txn      storage.Transaction
	compiler *ast.Compiler
	cancel   topdown.Cancel
	now      time.Time
}

func (e *evaluation) isLoaded(revision *ast.Term) (bool, error) {
	if revision == nil {
		return false, errLeft
	}
	if _, isNull := revision.Value.(ast.Null); isNull {
		return true, nil
	}
	name, ok := revision.Value.(ast.String)
	if !ok {
		return false, errLeft
	}
	queries, err := e.prepare("loaded "+string(name), func() []namedRef {
		return []namedRef{{"", belowIocaudit(setsTerm, loadedTerm, revision)}}
	})
	if err != nil {
		return false, err
	}
	found, err := e.run(queries[0], nil)
	return found != nil && found.Compare(ast.InternedValue(false)) != 0, err
}

func (e *evaluation) askGroup(group *ast.Term, shared [][2]*ast.Term, answers map[string]any) error {
	of, ok := group.Value.(ast.Object)
	if !ok {
		return errLeft
	}
	rules, ok := valueIn[ast.Object](of, rulesTerm)
	parameters := of.Get(parametersTerm)
	if !ok || parameters == nil {
		return errLeft
	}
	input := ast.ObjectTerm(append(shared[:len(shared):len(shared)], [2]*ast.Term{parametersTerm, parameters})...)
	return rules.Iter(func(index, name *ast.Term) error {
		number, ok := index.Value.(ast.String)
		root, isText := name.Value.(ast.String)
		if !ok || !isText || !rootName.MatchString(string(root)) {
			return errLeft
		}
		if _, twice := answers[string(number)]; twice {
			return errLeft
		}
		sets, err := e.sets(string(root), input)
		if err == nil && sets != nil {
			answers[string(number)] = sets
		}
		return err
	})
}

// sets is what a rule says, as the router tells it; nil where the rule is not loaded.
func (e *evaluation) sets(root string, input *ast.Term) (map[string]any, error) {
	queries, err := e.prepare(root, func() []namedRef {
		return e.setsOf(root)
	})
	if err != nil || len(queries) == 0 {
		return nil, err
	}
	found := make(map[string]any, len(queries))
	for _, query := range queries {
		value, err := e.run(query, input)
		if err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		items, err := ast.JSONWithOpt(value, ast.JSONOpt{SortSets: true})
		if err != nil {
			return nil, err
		}
		_, isSet := value.(ast.Set)
		found[query.name] = map[string]any{"set": isSet, "items": items}
	}
	return found, nil
}

type namedRef struct {
	name string
	ref  ast.Ref
}

// setsOf is where the sets of a rule are. Nothing but modules is loaded below the rules.
func (e *evaluation) setsOf(root string) []namedRef {
	place := belowIocaudit(rulesTerm, ast.StringTerm(root), setsTerm)
	node := e.compiler.RuleTree.Find(place)
	if node == nil {
		return nil
	}
	found := make([]namedRef, 0, len(node.Children))
	for key := range node.Children {
		if name, ok := key.(ast.String); ok {
			found = append(found, namedRef{string(name), place.Append(ast.NewTerm(name))})
		}
	}
	return found
}

func belowIocaudit(path ...*ast.Term) ast.Ref {
	return append(ast.Ref{ast.DefaultRootDocument, iocauditTerm}, path...)
}

// prepare compiles queries once, for as long as the same modules are loaded.
func (e *evaluation) prepare(key string, refs func() []namedRef) ([]preparedQuery, error) {
	e.lock.Lock()
	defer e.lock.Unlock()
	if e.answering.compiler != e.compiler || len(e.prepared) >= mostPrepared {
		e.answering.compiler, e.prepared = e.compiler, map[string][]preparedQuery{}
	}
	if known, ok := e.prepared[key]; ok {
		return known, nil
	}
	queries := []preparedQuery{}
	for _, one := range refs() {
		compiler := e.compiler.QueryCompiler()
		body, err := compiler.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(answerVar), ast.NewTerm(one.ref))))
		if err != nil {
			return nil, err
		}
		queries = append(queries, preparedQuery{one.name, body, compiler})
	}
	e.prepared[key] = queries
	return queries, nil
}

// run is what a query finds; nil where that is undefined.
func (e *evaluation) run(query preparedQuery, input *ast.Term) (ast.Value, error) {
	var found ast.Value
	err := topdown.NewQuery(query.body).
		WithQueryCompiler(query.compiler).
		WithCompiler(e.compiler).
		WithStore(e.store).
		WithTransaction(e.txn).
		WithInput(input).
		WithCancel(e.cancel).
		WithTime(e.now).
		WithMetrics(metrics.NoOp()).
		WithInterQueryBuiltinValueCache(e.values).
		WithIndexing(true).
		WithEarlyExit(true).
		Iter(e.ctx, func(bindings topdown.QueryResult) error {
			found = bindings[answerVar].Value
			return nil
		})
	return found, err
}

func valueIn[T ast.Value](object ast.Object, name *ast.Term) (T, bool) {
	var none T
	found := object.Get(name)
	if found == nil {
		return none, false
	}
	value, ok := found.Value.(T)
	return value, ok
}
