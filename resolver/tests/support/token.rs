//! A token server as the distribution project specifies it, for a registry that asks for tokens:
//! it knows who may pull what, and signs what it grants. Identity
//! tokens it exchanges too.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;

use super::server::{Server, header, reply};

/// What the registry and the token server call the registry.
const SERVICE: &str = "test registry";

/// What the token server calls itself.
const ISSUER: &str = "test issuer";

/// A running token server.
pub struct TokenServer {
    /// What it was asked.
    pub server: Server,
    /// What a registry's configuration needs to trust it.
    pub settings: String,
}

impl TokenServer {
    /// Starts one. `users` are names, passwords and permitted repositories; the empty name is
    /// anonymous.
    pub async fn start(folder: &Path, users: &[(&str, &str, &str)]) -> TokenServer {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["token".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let bundle = folder.join("token.pem");
        std::fs::write(&bundle, certificate.pem()).unwrap();
        let signer = Signer {
            key: key.serialize_der(),
            certificate: certificate.der().to_vec(),
        };
        let users: BTreeMap<String, (String, String)> = users
            .iter()
            .map(|(user, password, may)| {
                (user.to_string(), (password.to_string(), may.to_string()))
            })
            .collect();
        let server = Server::start(move |request| {
            let is_exchange = request.starts_with("POST ");
            let who = match is_exchange {
                true => identity(request),
                false => header(request, "authorization").map_or_else(|| ":".to_owned(), basic),
            };
            let (user, password) = who.split_once(':').unwrap();
            let Some((_, may)) = users.get(user).filter(|(known, _)| known == password) else {
                if is_exchange {
                    return reply(
                        request,
                        "400 Bad Request",
                        &[],
                        r#"{"error":"invalid_grant","error_description":"the token has ended"}"#,
                    );
                }
                return reply(
                    request,
                    "401 Unauthorized",
                    &[],
                    r#"{"details":"incorrect username or password"}"#,
                );
            };
            // A wish for what one may not pull is granted as nothing, as real token servers do.
            let granted = request.contains(&format!(
                "scope=repository%3A{}%3Apull",
                may.replace('/', "%2F")
            ));
            let token = signer.token(user, granted.then_some(may));
            let answer = match is_exchange {
                true => json!({ "access_token": token, "expires_in": 300 }),
                false => json!({ "token": token, "expires_in": 300 }),
            };
            reply(
                request,
                "200 OK",
                &[("Content-Type", "application/json")],
                &answer.to_string(),
            )
        })
        .await;
        let settings = format!(
            "auth:\n  token:\n    realm: {}/token\n    service: {SERVICE}\n    issuer: {ISSUER}\n    rootcertbundle: {}",
            server.address,
            bundle.display()
        );
        TokenServer { server, settings }
    }
}

/// The identity token of a user with this password.
pub fn identity_token(user: &str, password: &str) -> String {
    format!("{user}:{password}")
}

/// The identity token of a request that says all that must be said.
fn identity(request: &str) -> String {
    assert_eq!(
        header(request, "content-type"),
        Some("application/x-www-form-urlencoded")
    );
    let (_, form) = request.split_once("\r\n\r\n").unwrap();
    let fields: BTreeMap<&str, String> = form
        .split('&')
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap();
            let value = percent_decode_str(value).decode_utf8().unwrap();
            (name, value.into_owned())
        })
        .collect();
    assert_eq!(fields["grant_type"], "refresh_token");
    assert_eq!(fields["service"], SERVICE);
    assert_ne!(fields["client_id"], "");
    fields["refresh_token"].clone()
}

fn basic(header: &str) -> String {
    let encoded = header.strip_prefix("Basic ").unwrap();
    String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
}

struct Signer {
    key: Vec<u8>,
    certificate: Vec<u8>,
}

impl Signer {
    fn token(&self, subject: &str, may_pull: Option<&String>) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let head = json!({ "typ": "JWT", "alg": "ES256", "x5c": [BASE64_STANDARD.encode(&self.certificate)] });
        let access: Vec<_> = may_pull
            .iter()
            .map(|name| json!({ "type": "repository", "name": name, "actions": ["pull"] }))
            .collect();
        let claims = json!({
            "iss": ISSUER, "sub": subject, "aud": SERVICE, "jti": "1",
            "iat": now, "nbf": now - 60, "exp": now + 300, "access": access,
        });
        let encode = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", encode(&head), encode(&claims));
        let random = SystemRandom::new();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key, &random).unwrap();
        let signature = key.sign(&random, text.as_bytes()).unwrap();
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
