package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/storage"
)

// bulkPath loads many modules at once. OPA's own interface takes them one by one, and compiles all that it has each
// time: with the modules of a hundred rules that takes minutes.
const (
	bulkPath = "/iocaudit/load"
	mostBulk = 64 << 20
)

// bulkLoad is what to put, by id, and which ids to take away: all of it, or nothing.
type bulkLoad struct {
	Put    map[string]string `json:"put"`
	Delete []string          `json:"delete"`
}

// withBulk answers bulkPath itself, and leaves all else to OPA.
func withBulk(opa http.Handler, store storage.Store) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if request.URL.Path != bulkPath {
			opa.ServeHTTP(response, request)
			return
		}
		var load bulkLoad
		if err := json.NewDecoder(http.MaxBytesReader(response, request.Body, mostBulk)).Decode(&load); err != nil {
			refuse(response, http.StatusBadRequest, "invalid_parameter")
			return
		}
		if err := loadMany(request.Context(), store, load); err != nil {
			said := types.NewErrorV1(types.CodeInvalidParameter, "%s", types.MsgCompileModuleError)
			if list, ok := errors.AsType[ast.Errors](err); ok {
				said = said.WithASTErrors(list)
			} else {
				said = types.NewErrorV1(types.CodeInternal, "%s", err.Error())
			}
			response.Header().Set("Content-Type", "application/json")
			response.WriteHeader(http.StatusBadRequest)
			_, _ = response.Write(said.Bytes())
			return
		}
		response.Header().Set("Content-Type", "application/json")
		_, _ = response.Write([]byte("{}\n"))
	})
}

func loadMany(ctx context.Context, store storage.Store, load bulkLoad) (err error) {
	params := storage.WriteParams
	params.Context = storage.NewContext()
	txn, err := store.NewTransaction(ctx, params)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			store.Abort(ctx, txn)
		}
	}()
	for _, id := range load.Delete {
		if err := store.DeletePolicy(ctx, txn, id); err != nil && !storage.IsNotFound(err) {
			return err
		}
	}
	for id, text := range load.Put {
		if err := store.UpsertPolicy(ctx, txn, id, []byte(text)); err != nil {
			return err
		}
	}
	compiler, err := compileStore(ctx, store, txn)
	if err != nil {
		return err
	}
	plugins.SetCompilerOnContext(params.Context, compiler)
	return store.Commit(ctx, txn)
}

// compileStore compiles what the store holds, as OPA does after each change.
func compileStore(ctx context.Context, store storage.Store, txn storage.Transaction) (*ast.Compiler, error) {
	ids, err := store.ListPolicies(ctx, txn)
	if err != nil {
		return nil, err
	}
	modules := map[string]*ast.Module{}
	for _, id := range ids {
		text, err := store.GetPolicy(ctx, txn, id)
		if err != nil {
			return nil, err
		}
		module, err := ast.ParseModuleWithOpts(id, string(text), ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			return nil, err
		}
		if module == nil || strings.TrimSpace(string(text)) == "" {
			return nil, errors.New(id + " is empty")
		}
		modules[id] = module
	}
	compiler := ast.NewCompiler().WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn))
	if compiler.Compile(modules); compiler.Failed() {
		return nil, compiler.Errors
	}
	return compiler, nil
}
