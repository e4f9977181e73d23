package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
)

const (
	alivePath      = "/iocaudit/alive"
	challengeParam = "challenge"
)

// guard decides who may do what before OPA sees a request. OPA would ask a module (system.authz), which whoever may
// load modules could replace; this cannot be replaced, and compares tokens in constant time.
type guard struct {
	loadToken, askToken [sha256.Size]byte
	nonce               []byte
	opa                 http.Handler
}

func newGuard(loadToken, askToken string, nonce []byte, opa http.Handler) *guard {
	return &guard{sha256.Sum256([]byte(loadToken)), sha256.Sum256([]byte(askToken)), nonce, opa}
}

// proof is what only the holder of the nonce can say of text.
func (g *guard) proof(text string) string {
	mac := hmac.New(sha256.New, g.nonce)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func (g *guard) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	inFlight.Begin()
	defer inFlight.End()
	// Asked without a token: who asks does not know yet whether it is us.
	if request.URL.Path == alivePath && request.Method == http.MethodGet {
		g.alive(response, request)
		return
	}
	scheme, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	given := sha256.Sum256([]byte(strings.TrimSpace(token)))
	load := subtle.ConstantTimeCompare(given[:], g.loadToken[:]) == 1
	ask := subtle.ConstantTimeCompare(given[:], g.askToken[:]) == 1
	switch {
	case !strings.EqualFold(scheme, "Bearer") || !(load || ask):
		refuse(response, http.StatusUnauthorized, "unauthorized")
	case load && loads(request) || ask && asks(request):
		g.opa.ServeHTTP(response, request)
	default:
		refuse(response, http.StatusForbidden, "forbidden")
	}
}

// loads tells whether a request changes or lists what is loaded.
func loads(request *http.Request) bool {
	switch request.Method {
	case http.MethodPost:
		return request.URL.Path == bulkPath
	case http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodGet:
		return below(request, "/v1/policies") || below(request, "/v1/data")
	}
	return false
}

// asks tells whether a request is a query.
func asks(request *http.Request) bool {
	return request.Method == http.MethodPost && (below(request, "/v1/data") || request.URL.Path == "/v1/query")
}

// below tells whether a request is for a folder or what is in it, and does not lead out again.
func below(request *http.Request, folder string) bool {
	rest, found := strings.CutPrefix(request.URL.Path, folder)
	return found && (rest == "" || rest[0] == '/') && !slices.Contains(strings.Split(rest, "/"), "..")
}

func refuse(response http.ResponseWriter, status int, code string) {
	response.Header().Set("Content-Type", "application/json")
	response.WriteHeader(status)
	_, _ = response.Write([]byte(`{"code": "` + code + `", "message": "` + http.StatusText(status) + `"}` + "\n"))
}

// alive answers once OPA has evaluated a query: that the process runs is not enough.
func (g *guard) alive(response http.ResponseWriter, request *http.Request) {
	health, _ := http.NewRequestWithContext(request.Context(), http.MethodGet, "/health", nil)
	recorder := httptest.NewRecorder()
	g.opa.ServeHTTP(recorder, health)
	if recorder.Code != http.StatusOK {
		refuse(response, http.StatusServiceUnavailable, "not healthy")
		return
	}
	response.Header().Set("Content-Type", "application/json")
	_, _ = response.Write([]byte(`{"proof": "` + g.proof("alive "+request.URL.Query().Get(challengeParam)) + `"}` + "\n"))
}
