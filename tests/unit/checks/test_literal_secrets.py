"""Literal credentials: found by format and by name, never shown, and not seen where none are."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.late_pattern import compiled
from iocaudit.knowledge.credentials.credential import by_format, by_name, in_text, may_hold_format
from iocaudit.knowledge.credentials.formats import FORMATS, Format
from tests.support.auditing import Json, container, evidence, judge, places, pod
from tests.support.bounded import cpu_within

# Put together here, so that no scanner takes this file for a leak.
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "a1B2" * 9
KEYS = ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ")
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0" + "." + "dozjgNryP4J3jVmNHl0w5N"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----\nx", "a private key"),
        ("---BEGIN OPENSSH PRIVATE KEY---", "a private key"),
        (f"id={AWS}", "an AWS access key"),
        (GITHUB, "a GitHub token"),
        ("xoxb-" + "1234567890-abcdef", "a Slack token"),
        ("Authorization: Bearer " + "0123456789abcdef" * 2, "a bearer token"),
        (JWT, "a JWT"),
        ("postgres://shop:hunter22@db.example/shop", "a password in an URL"),
        ("AccountKey=" + "A" * 86 + "==", "an Azure storage key"),
        ("redis://:hunter22@redis:6379/0", "a password in an URL"),
        ("AMQP://shop:hunter%2022@rabbit", "a password in an URL"),
        ("shop:hunter22@tcp(db:3306)/shop", "a password in a connection string"),
        ("Server=db;User Id=sa;Password=hunter22;Encrypt=true", "a password in a connection string"),
        ("jdbc:postgresql://db/shop?user=shop&password=hunter22", "a password in a connection string"),
        ("https://hooks.slack.com/services/" + "T0000000/B0000000/" + "a1" * 12, "a Slack webhook"),
        ("dop_v1_" + "0a" * 32, "a DigitalOcean token"),
        ("hf_" + "aB" * 17, "a Hugging Face token"),
        ('{"auths": {"hooli.com": {"auth": "c2hvcDpodW50ZXIyMg=="}}}', "a registry login"),
        ("Authorization: Basic c2hvcDpodW50ZXIyMg==", "a basic authorization"),
        *((base64.b64encode(f"-----BEGIN {kind}PRIVATE KEY-----".encode()).decode(), "a private key") for kind in KEYS),
        ("https://hooks.slack.com/services/" + "T0000/B0000/" + "x" * 24, "a Slack webhook"),
        ("Server=db;Database=shop;User Id=sa;Password=hunter2;", "a password in a connection string"),
        ("host=db;uid=sa;PWD=hunter2", "a password in a connection string"),
    ],
)
def test_formats(value: str, kind: str) -> None:
    found = by_format(value)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    "value",
    [
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "https://example.org/a:b@c",
        "postgres://shop:$(DB_PASSWORD)@db/shop",
        "postgres://shop:${DB_PASSWORD}@db/shop",
        "http://user@host/",
        "Server=db;User Id=sa;Password=${PASSWORD};Encrypt=true",
        "jdbc:postgresql://db/shop?user=shop&password=<password>",
        "shop:$(DB_PASSWORD)@tcp(db:3306)/shop",
        '{"auths": {"hooli.com": {"auth": ""}}, "mode": "required"}',
        '{"auth": "required"}',
        "Authorization: Basic authentication",
        "https://hooks.slack.com/services/<token>",
        base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode(),
        base64.b64encode(b"-----BEGIN PUBLIC KEY-----").decode(),
        "AKIAshort",
        "Server=db;User Id=sa;Password=$(DB_PASSWORD);",
        "Server=db;User Id=sa;Password={{ .Values.password }};",
        "Server=db;Trusted_Connection=True;",
        "https://hooks.slack.com/services/",
        "eyJhbGci",
        "Bearer token of the user",
        "bearer_token",
        "https://hooli.example/hook?shop=1&password=null",
        "postgres://shop:YOUR_PASSWORD@db/shop",
        "postgres://shop:%DB_PASSWORD%@db/shop",
        "shop:xxxxxxxx@tcp(db:3306)/shop",
    ],
)
def test_what_only_looks_like_one(value: str) -> None:
    assert by_format(value) is None


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD",
        "DB_PASSWORD",
        "dbPassword",
        "SECRET_KEY",
        "client-secret",
        "api-key",
        "aws-secret-access-key",
        "apiKey",
        "AZURE_BATCH_KEY",
        "oauth.token",
        "PGPASSWORD",
        "SMTP_PASS",
        "SSHPASS",
        "dbpass",
        "SSH_KEY",
        "dbPassword2",
        "token01",
        "RABBITMQ_ERLANG_COOKIE",
    ],
)
def test_names_of_credentials(name: str) -> None:
    assert by_name(name, "correct-horse") is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD_FILE", "/run/secrets/db"),
        ("DB_PASSWORD", "/run/secrets/db"),
        ("DB_PASSWORD", "my/secret/file/path"),
        ("TOKEN", "secret/data/shop/db2"),
        ("DB_PASSWORD", "$(OTHER)"),
        ("DB_PASSWORD", "{{ .Values.password }}"),
        ("DB_PASSWORD", "<change-me>"),
        ("SECRET_NAME", "db"),
        ("TOKEN_TTL", "3600"),
        ("tokenExpirationSeconds", "3600"),
        ("USE_TOKEN", "true"),
        ("COMPASS_URL", "x"),
        ("AUTHOR", "somebody"),
        ("KEYBOARD", "qwerty"),
        ("PASSWORD", ""),
        ("TOKENIZER", "bpe"),
        ("TOKEN", "12345"),
        ("REQUIRE_PASSWORD", "1"),
        ("PASS_THROUGH", "all"),
        ("BYPASS", "all"),
        ("DB_PASSWORD", "REDACTED"),
        ("DB_PASSWORD", "[redacted]"),
        ("DB_PASSWORD", "your-password-here"),
        ("DB_PASSWORD", "REPLACE_ME"),
        ("DB_PASSWORD", "TODO"),
        ("DB_PASSWORD", "@PASSWORD@"),
        ("DB_PASSWORD", "%PASSWORD%"),
        ("DB_PASSWORD", "__PASSWORD__"),
        ("AUTH_TOKEN", "op://vault/shop/token"),
        ("DB_PASSWORD", "ENC[AES256_GCM,data:x]"),
        ("SSH_KEY", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"),
        ("TLS_SECRET", "shop-tls"),
        ("existingSecret", "shop"),
        ("imagePullSecrets", "registry"),
        ("NUM_TOKENS", "128000"),
    ],
)
def test_names_and_values_that_are_none(name: str, value: str) -> None:
    assert by_name(name, value) is None


def test_what_is_applied_as_a_secret_is_one() -> None:
    assert by_name("SECRET_SQUIRREL", "secretsquirrels") is not None
    assert by_name("CLI_KEY_CONTENT", "xxxxx") is not None
    assert by_name("AWS_SECRET_ACCESS_KEY", "xxxxxxxx") is None


def test_what_has_slashes_and_is_no_path_is_still_a_password() -> None:
    for value in ("aB3/xY9/qQ", "hunter2/hunter3/hunter4", "correct/horse"):
        assert by_name("DB_PASSWORD", value) is not None


def test_a_number_is_a_password_only_under_its_name() -> None:
    assert by_name("PASSWORD", "12345") is not None
    assert by_name("API_TOKEN", "12345") is None


@pytest.mark.parametrize(
    "text",
    [
        '{"user": "web", "password": "correct-horse"}',
        "<db><password>correct-horse</password></db>",
        "x" * 3000 + ' {"auth":{"client_secret":"correct-horse"}}',
    ],
)
def test_pairs_within_a_line_are_read(text: str) -> None:
    assert [found.length for found in in_text(text)] == [13]


@pytest.mark.parametrize(
    "text",
    [
        '{"passwordFile": "/run/x", "token": "${TOKEN}"}',
        "<password/>",
        '{"password": {"from": "vault"}}',
        '{"note": "password: none"}',
    ],
)
def test_what_within_a_line_is_none(text: str) -> None:
    assert list(in_text(text)) == []


def test_binary_data_is_read_by_format() -> None:
    key = base64.b64encode(b"-----BEGIN PRIVATE KEY-----\nMII").decode()
    config: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "web", "namespace": "shop"},
        "binaryData": {"tls.key": key, "logo.png": "iVBORw0KGgo=", "broken": "!", "null": None},
    }
    assert places(judge("secret-in-configmap", config)) == ['binaryData["tls.key"]']


def test_binary_data_that_is_text_is_read_as_text() -> None:
    held = {
        "app.conf": b"color=red\npassword=correct-horse\n",
        "db_password": b"correct-horse",
        "x": b"\xff" + AWS.encode(),
    }
    config: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "web", "namespace": "shop"},
        "binaryData": {name: base64.b64encode(value).decode() for name, value in held.items()},
    }
    assert places(judge("secret-in-configmap", config)) == [f'binaryData["{name}"]' for name in held]


def test_a_configuration_file_is_read_line_by_line() -> None:
    lines = ["# password=old", "color=red", "password=some_secret", "secretName: db", "aws_secret_access_key = MY-KEY"]
    assert [found.name for found in in_text("\n".join(lines))] == ["password", "aws_secret_access_key"]


def test_an_item_of_a_list_and_an_option_are_read_and_a_comment_is_not() -> None:
    lines = ["users:", "  - password: correct-horse", "--token=correct-horse", "-- password: Hunter22x"]
    assert [found.name for found in in_text("\n".join(lines))] == ["password", "token"]


def test_a_config_map_and_an_environment_never_show_the_value() -> None:
    config: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "web", "namespace": "shop"},
        "data": {"db_password": "correct-horse", "app.conf": f"a=b\ntoken={GITHUB}\n", "plain": "hello"},
    }
    found = judge("secret-in-configmap", config)
    assert {one.hit.path for one in found} == {'data["db_password"]', 'data["app.conf"]'}
    subject = pod(container(env=[{"name": "X", "value": GITHUB}, {"name": "PASSWORD", "value": "correct-horse"}]))
    found += judge("secret-in-env", subject)
    assert len(found) >= 4
    said = " ".join(str(one) + one.message for one in found)
    assert "correct-horse" not in said
    assert GITHUB not in said
    assert "a GitHub token of 40 characters" in said


def test_references_are_only_hardening() -> None:
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}]
    subject = pod(container(env=env, envFrom=[{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "c"}}]))
    assert judge("secret-in-env", subject) == []
    assert evidence(judge("secret-ref-in-env", subject)) == ["db", "all"]
    assert places(judge("secret-ref-in-env", subject))[1] == 'spec.containers["app"].envFrom'


@pytest.mark.parametrize("form", FORMATS, ids=[form.kind for form in FORMATS])
@given(data=st.data())
def test_the_quick_look_misses_no_format(form: Format, data: st.DataObject) -> None:
    value = data.draw(st.from_regex(compiled(form.pattern)))
    assert may_hold_format(value), form.kind
    assert by_format(value) is not None or compiled(form.pattern).groups
    assert may_hold_format(f"other\n{value}\nmore")


@given(
    st.lists(st.tuples(st.sampled_from(("A", "PORT", "DB_PASSWORD", "apiKey")), st.sampled_from(("x", "1", AWS)))),
    st.lists(st.sampled_from(({"name": "X", "valueFrom": {}}, {"name": 3, "value": None}, None, "env", []))),
)
def test_one_look_at_all_variables_says_what_a_look_at_each_says(
    variables: list[tuple[str, str]], others: list[object]
) -> None:
    apart = [name for name, value in variables if by_format(value) or by_name(name, value)]
    env = [*others, *({"name": name, "value": value} for name, value in variables)]
    assert len(judge("secret-in-env", pod(container(env=env)))) == len(apart)


@given(st.text(max_size=400), st.text(max_size=400))
def test_any_text_can_be_read_and_none_is_repeated(name: str, value: str) -> None:
    for found in (by_format(value), by_name(name, value), *in_text(value)):
        if found is not None:
            assert found.length <= len(value)
            assert value.strip() not in found.words or value.strip() in name + found.kind + str(found.length)


REFERENCES = (
    "$__file{/etc/secrets/db}",
    "$__env{DB_PASSWORD}",
    "$__vault{kv:db:password}",
    '"""$__file{/etc/secrets/key}"""',
    "@{secretstore:influx}",
    "ENC(abcdefabcdefabcdef==)",
    "{cipher}0a1b2c3d4e5f6a7b8c9d",
    "vault:v1:8SDd3WHDOjf7mq69CyCqYjBXAiQ=",
    "sm://session",
    "awssm:shop/db",
    "ref+vault://secret/data/db#/password",
    "file:///run/secrets/pw",
    "#{ENV['ES_PASSWORD']}",
    "%(db_password)s",
    "%env(DB_PASSWORD)%",
    "$$DB_PASSWORD",
    "$DB_PASSWORD",
    "os.environ['DB_PASSWORD']",
    "process.env.DB_PASSWORD",
    'System.getenv("DB_PASSWORD")',
    "ENV.fetch('DB_PASSWORD')",
    "settings.DB_PASSWORD",
    "var.db_password",
    "@Microsoft.KeyVault(SecretUri=https://hooli.example/y)",
    "YOUR_PASSWORD",
    "credentials.json",
    "tls.key",
    "$2a$10$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuv",
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$abcdef",
    "{SSHA}0a1b2c3d4e5f",
    "admin:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
    "admin:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
    "gcp:secretmanager:projects/shop/secrets/db/versions/1",
    "azure:keyvault:db/1",
)


@pytest.mark.parametrize("value", REFERENCES)
def test_references_code_and_hashes_are_no_credentials(value: str) -> None:
    assert by_name("DB_PASSWORD", value) is None
    for line in (f"password = {value}", f"password: {value}", f"db.password={value}"):
        assert list(in_text(f"[database]\n{line}\n")) == [], line


_LAST_WORDS = (
    "ACCOUNT", "AGE", "ALIAS", "CHARSET", "CHECK", "CLIENT", "COLUMN", "DOMAIN", "ENCODER", "ENGINE", "ENV",
    "GROUP", "HINT", "IMAGE", "KIND", "LABEL", "LOCATION", "LOGIN", "LOG_LEVEL", "MESSAGE", "MIGRATION",
    "OPERATOR", "OWNER", "PARAM", "PROMPT", "QUEUE", "REGEX", "REPLICAS", "ROLE", "ROTATION_DAYS", "SELECTOR",
    "SERVICE", "STRATEGY", "SYNC_WAVE", "TABLE", "TENANT", "TOPIC", "USERNAME", "VALIDATION", "VERIFY",
    "GRANULARITY", "PARTICIPANT", "ZONE", "FLAVOUR", "COOKIE",
)  # fmt: skip


_WORD = "(?:[bcdfgklmnprst][aeiou]){2,3}[nrst]?"
"""What can be pronounced: behind other last words a value counts that looks random, and long consonants do."""


@given(
    st.sampled_from(("TOKEN", "SECRET", "PASSWORD", "API_KEY", "dbPassword", "CLIENT_SECRET", "auth-token")),
    st.sampled_from(_LAST_WORDS) | st.from_regex(r"[A-Z]{4,9}", fullmatch=True).map(lambda word: f"{word}NESS"),
    st.from_regex(rf"{_WORD}(?:[_-]{_WORD}){{0,2}}[0-9]?", fullmatch=True),
)
def test_the_last_word_of_a_name_says_what_the_value_is(credential: str, last: str, value: str) -> None:
    assert by_name(f"{credential}_{last}", value) is None


@given(
    st.sampled_from(("DB_PASSWORD", "api-token", "clientSecret", "signing_key", "mqttPass", "rootpw")),
    st.sampled_from(("", "_OLD", "_PROD", "_BASE64", "2", "_V2", ".default", "-staging")),
)
def test_a_word_that_tells_several_apart_is_passed_over(name: str, which: str) -> None:
    assert by_name(name + which, "correct-horse") is not None


IN_CONTAINERS: tuple[Json, ...] = (
    {"env": [{"name": "DB_DSN", "value": "host=db user=shop password=Hunter22x dbname=shop"}]},
    {"env": [{"name": "CATALINA_OPTS", "value": "-Xmx1g -Djavax.net.ssl.trustStorePassword=Hunter22x"}]},
    {"env": [{"name": "REDIS_ARGS", "value": "--requirepass Hunter22x"}]},
    {"env": [{"name": "ORACLE", "value": "jdbc:oracle:thin:scott/Hunter22x@//db:1521/x"}]},
    {"args": ["--requirepass", "Hunter22x"]},
    {"command": ["/app", "--db-password=Hunter22x"]},
    {"command": ["/app"], "args": ["--set", "auth.password=Hunter22x"]},
    {"command": ["sh", "-c", "mysqldump -u root -pHunter22x shop"]},
    {"command": ["sh", "-c", "curl -s -u bob:Hunter22x https://hooli.example"]},
    {"command": ["sshpass", "-p", "Hunter22x", "ssh", "hooli.example"]},
    {"livenessProbe": {"exec": {"command": ["redis-cli", "-a", "Hunter22x", "ping"]}}},
    {"lifecycle": {"preStop": {"exec": {"command": ["mongosh", "-u", "root", "-p", "Hunter22x"]}}}},
    {"command": ["keytool", "-storepass", "Hunter22x"]},
)


@pytest.mark.parametrize("fields", IN_CONTAINERS, ids=str)
def test_credentials_in_arguments_and_within_variables(fields: Json) -> None:
    found = judge("secret-in-env", pod(container(**fields)))
    assert len(found) == 1
    assert "Hunter22x" not in str(found[0]) + found[0].message


@pytest.mark.parametrize(
    "argv",
    [
        ["--requirepass", "$(REDIS_PASSWORD)"],
        ["--requirepass", "--appendonly"],
        ["/app", "--db-password-file=/run/secrets/db", "--token-ttl=3600", "--tls-private-key-file=/tls/tls.key"],
        ["/app", "--auth-secret=shop/basic-auth", "--cookie-secret=SECRET"],
        ["sh", "-c", 'mysql -u root -p"$MYSQL_ROOT_PASSWORD" -e "select 1"'],
        ["sh", "-c", "mysql -h db -P 3306 -p${PW} shop; mongo --port 27017"],
        ["sh", "-c", 'curl -u "$USER:$PASS" https://hooli.example'],
        ["redis-cli", "-a", "$(AUTH)", "ping"],
        ["docker", "run", "-p", "8080:8080", "hooli"],
    ],
    ids=str,
)
def test_arguments_that_hold_none(argv: list[str]) -> None:
    assert judge("secret-in-env", pod(container(args=argv))) == []


FILES = {
    "redis.conf": "requirepass Hunter22x\n",
    "sentinel.conf": "sentinel auth-pass shop Hunter22x\n",
    "users.acl": "user shop on >Hunter22x ~* +@all\n",
    "wp-config.php": "<?php\ndefine('DB_PASSWORD', 'Hunter22x');\n",
    ".netrc": "machine api.hooli.example login bob password Hunter22x\n",
    ".npmrc": "//registry.hooli.example/:_authToken=Hunter22x0123\n",
    "nginx.conf": 'proxy_set_header Authorization "Basic Ym9iOkh1bnRlcjIyeA==";\n',
    "pgbouncer.ini": "[databases]\nshop = host=db user=shop password=Hunter22x\n",
    "haproxy.cfg": "userlist shop\n  user bob insecure-password Hunter22x\n",
    "rabbitmq.config": '[{rabbit, [{default_pass, <<"Hunter22x">>}]}].\n',
    "init.sql": "CREATE USER shop IDENTIFIED BY 'Hunter22x';\n",
    "app.service": '[Service]\nEnvironment="DB_PASSWORD=Hunter22x"\n',
    "main.tf": 'variable "db_password" {\n  default = "Hunter22x"\n}\n',
    "core-site.xml": "<property><name>db.password</name><value>Hunter22x</value></property>\n",
    "pod.json": '{"env": [{"name": "DB_PASSWORD", "value": "Hunter22x"}]}\n',
    "block.yaml": "password: |\n  Hunter22x\n",
}


@pytest.mark.parametrize("name", FILES)
def test_the_credential_of_a_configuration_file_is_found_once(name: str) -> None:
    assert len(list(in_text(FILES[name]))) == 1


@pytest.mark.parametrize(
    "unit",
    ["password=", "password ", "key: ", '"secret": "', "--password ", "-p", "mysql -", "pass" * 9, "a_", "://a:b", "<",
     "password: |\n", "user x >", "token\\\\\\", "key" * 30 + "(", "set ", "sk-", "eyJ.", "name: password\n", " \t"],
)  # fmt: skip
def test_the_time_grows_with_the_text_alone(unit: str) -> None:
    text = (unit * 128_000)[:128_000]
    with cpu_within(5):
        assert len(list(in_text(text))) < len(text)


@pytest.mark.parametrize(
    "line",
    [
        "client = connect(host, password=password)",
        "    password=password,",
        "token = parser.expect(",
        "def connect(user: str, password: Optional[str]=None):",
        "if token := stream.accept(Kind.STRING):",
        'userpass += f":{password}"',
        '"service_account_token": "serviceAccountToken",',
        'GRANT_TYPE_REFRESH_TOKEN = "refresh_token"',
        "Username and password to include in the request.",
        "The user and password are encoded.",
        "url: https://hooli.example/info?access_token= uid",
        "Authorization: Bearer $(cat /run/secrets/token)",
        "password_regex: ^(?=.*[A-Z]).{8,}$",
        'password := os.Getenv("DB_PASSWORD")',
        "Password string `json:password`",
        "PASSWORD=$(kubectl get secret db -o jsonpath='{.data.password}' | base64 -d)",
        '"password": {"$ref": "#/definitions/password"},',
        "grant_types: [password, client_credentials]",
        "credentials: |\n  {",
        "env:\n- name: DB_PASSWORD\n  valueFrom: {secretKeyRef: {name: db, key: password}}",
    ],
)
def test_code_prose_and_fields_of_objects_are_none(line: str) -> None:
    assert list(in_text(f"# Notes\n{line}\nend = true\n")) == []
