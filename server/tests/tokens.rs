//! T38: what is not our token in force is nobody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{Duration, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use switchover_server::domain::actor::Role;
use switchover_server::token::TokenKeys;

use crate::support::{App, Engine, Who};

/// A good token's header and claims, to be spoilt.
fn parts() -> (Value, Value) {
    let token = Who::ADMIN.token();
    let mut parts = token.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    });
    (parts.next().unwrap(), parts.next().unwrap())
}

/// Signs with the server's own key, whatever header and claims say.
fn signed(header: &Value, claims: &Value) -> String {
    use aws_lc_rs::signature::Ed25519KeyPair;
    let pem = App::signing_key();
    let body: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
    let der = base64::engine::general_purpose::STANDARD
        .decode(body)
        .unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
    let text = format!("{}.{}", part(header), part(claims));
    let signature = pair.sign(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

fn without(claims: &Value, name: &str) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[test]
fn only_our_tokens_in_force_are_anybody() {
    let app = App::start(Engine::Sqlite);
    let (header, claims) = parts();
    let now = Utc::now().timestamp();
    let ask = |token: &str| app.request("GET", "routes").bearer(token).send();
    ask(&signed(&header, &claims)).expect(200);

    let mut bad: Vec<(String, String)> = Vec::new();
    let mut spoil = |what: &str, token: String| bad.push((what.to_owned(), token));
    for name in ["iss", "aud", "sub", "iat", "nbf", "exp", "jti", "role"] {
        spoil(
            &format!("no {name}"),
            signed(&header, &without(&claims, name)),
        );
        spoil(
            &format!("{name} null"),
            signed(&header, &with(&claims, name, Value::Null)),
        );
    }
    for (name, value) in [
        ("exp", json!((now + 600).to_string())),
        ("nbf", json!(now.to_string())),
        ("iat", json!(now.to_string())),
        ("exp", json!(now - 6)),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("nbf", json!(now + 60)),
        ("aud", json!("another-api")),
        ("aud", json!([])),
        ("iss", json!("another")),
        ("iss", json!("")),
        ("sub", json!("")),
        ("sub", json!("s".repeat(201))),
        ("sub", json!(7)),
        ("jti", json!("")),
        ("role", json!("root")),
        ("role", json!("Admin")),
        ("role", json!(["admin"])),
        ("role", json!(3)),
    ] {
        spoil(
            &format!("{name} {value}"),
            signed(&header, &with(&claims, name, value.clone())),
        );
    }
    for algorithm in [
        "none", "None", "NONE", "HS256", "HS512", "RS256", "ES256", "ed25519", "",
    ] {
        let other = with(&header, "alg", json!(algorithm));
        spoil(&format!("alg {algorithm}"), signed(&other, &claims));
        spoil(
            &format!("alg {algorithm}, unsigned"),
            format!("{}.{}.", part(&other), part(&claims)),
        );
    }
    for kid in [
        "../../signing-key.pem",
        "/dev/null",
        "' OR 1=1 --",
        "",
        "\u{0}",
        "http://localhost/key",
    ] {
        spoil(
            &format!("kid {kid}"),
            signed(&with(&header, "kid", json!(kid)), &claims),
        );
    }
    spoil("no kid", signed(&without(&header, "kid"), &claims));
    spoil("no alg", signed(&without(&header, "alg"), &claims));
    let mut own_key = with(&header, "kid", json!("mine"));
    own_key["jwk"] = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" });
    own_key["jku"] = json!("https://example.com/jwks");
    spoil("its own key", signed(&own_key, &claims));

    // The public key as the secret of an HMAC.
    let public = App::signing_key().as_bytes();
    let mut swapped = Header::new(Algorithm::HS256);
    swapped.kid = header["kid"].as_str().map(str::to_owned);
    spoil(
        "HMAC",
        encode(&swapped, &claims, &EncodingKey::from_secret(public)).unwrap(),
    );

    let foreign = tempfile::tempdir().unwrap();
    let foreign = TokenKeys::from_data_dir(foreign.path()).unwrap();
    let hour = Duration::hours(1);
    spoil(
        "foreign",
        foreign.sign(&Who::ADMIN.actor(), Utc::now(), hour).unwrap(),
    );

    let good = signed(&header, &claims);
    let (text, signature) = good.rsplit_once('.').unwrap();
    let payload = text.split_once('.').unwrap().1;
    spoil("no signature", format!("{text}."));
    spoil("two parts", text.to_owned());
    spoil("four parts", format!("{good}.{signature}"));
    spoil("padded", format!("{good}="));
    spoil("cut", good[..good.len() - 4].to_owned());
    spoil(
        "another's claims",
        good.replace(payload, &part(&with(&claims, "sub", json!("eve")))),
    );
    spoil("nonsense", "nonsense".to_owned());
    spoil("dots", "..".to_owned());
    spoil("long", "a".repeat(4_000));
    spoil("claims that are no object", signed(&header, &json!([1, 2])));
    spoil("nothing", String::new());

    for (what, token) in &bad {
        let reply = ask(token);
        assert_eq!(reply.status, 401, "{what}: {}", reply.body);
        let problem = reply.problem(401);
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{what}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("token"), "{what}: {detail}");
        assert!(
            token.len() < 8 || !reply.body.contains(token.as_str()),
            "{what}: shown again"
        );
    }
    for scheme in ["Basic", "bearer2", "Token", ""] {
        let value = format!("{scheme} {good}");
        let reply = app
            .request("GET", "routes")
            .header("authorization", &value)
            .send();
        assert_eq!(reply.code(401), "unauthenticated", "{scheme}");
    }
    let reply = app
        .request("GET", "routes")
        .header("authorization", &format!("bearer {good}"))
        .send();
    reply.expect(200);
    // Clocks may be five seconds apart.
    ask(&signed(&header, &with(&claims, "nbf", json!(now + 3)))).expect(200);
    ask(&signed(&header, &with(&claims, "exp", json!(now - 1)))).expect(200);
}

#[test]
fn a_role_is_the_tokens_and_nothing_elses() {
    let app = App::start(Engine::Sqlite);
    let body = json!({ "key": "x", "kind": "hosted", "position": 9 });
    for (name, value) in [
        ("x-role", "admin"),
        ("x-forwarded-user", "ada@example.com"),
        ("cookie", "role=admin"),
    ] {
        let request = app
            .request("POST", "environments")
            .by(Who::of(Role::Maintainer));
        assert_eq!(
            request.header(name, value).json(&body).send().code(403),
            "forbidden"
        );
    }
    assert_eq!(
        app.get("environments").json()["items"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
}
