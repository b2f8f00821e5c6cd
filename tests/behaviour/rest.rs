//! A node with the REST listener, and who asks it over HTTP.

use crate::app_server::{AppRequest, AppServer, Reply};
use crate::lab::{BOUND, Lab, Plan, USER};
use portcullis::api::rest::{CallDesk, NodeDesk};
use portcullis::api::{HttpServer, serve_rest};
use portcullis::config::TokenDigest;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const TOKEN: &str = "pct_test";

/// A number of the tenant.
pub const OWN: &str = "+14255550177";

pub struct Rest {
    pub server: AppServer,
    pub lab: Lab,
    pub desk: Arc<NodeDesk>,
    pub http: HttpServer,
    pub account: String,
}

impl Rest {
    /// A node whose account has the application `reception`, asked at `/incoming`, and an application server.
    pub async fn start(script: impl Fn(&AppRequest) -> Reply + Send + Sync + 'static) -> Rest {
        Rest::with("", script).await
    }

    /// The same with further lines of `sbc.toml`, and with users.
    pub async fn with(machine: &str, script: impl Fn(&AppRequest) -> Reply + Send + Sync + 'static) -> Rest {
        let server = AppServer::build()
            .on("/incoming", script)
            .on("/status", |_| Reply::Json(200, json!([])))
            .start()
            .await;
        let tenant = format!(
            "[[tokens]]\nname = \"test\"\nsha256 = \"{}\"\n\n[application.reception]\nhook = \"{}\"\n\
             call_status_hook = \"{}\"\n",
            TokenDigest::of(TOKEN),
            server.url("/incoming"),
            server.url("/status")
        );
        let lab = Lab::with(Plan {
            machine: format!("[application_servers]\nallow_loopback = true\n{machine}"),
            users: true,
            tenant,
            ..Plan::default()
        })
        .await;
        let desk = Arc::new(NodeDesk::new(lab.running.node.clone()));
        let http = serve_rest(([127, 0, 0, 1], 0).into(), desk.clone()).await.unwrap();
        let account = desk.account(&TokenDigest::of(TOKEN)).unwrap().sid;
        Rest {
            server,
            lab,
            desk,
            http,
            account,
        }
    }

    pub fn calls(&self) -> String {
        format!("/v1/Accounts/{}/Calls", self.account)
    }

    pub async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let (status, _, body) = self.answer(method, path, body).await;
        (status, body)
    }

    /// Status, head and body of the answer.
    pub async fn answer(&self, method: &str, path: &str, body: Value) -> (u16, String, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: sbc\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let asking = async {
            let mut stream = TcpStream::connect(self.http.address()).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::time::timeout(BOUND, asking).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        (status, head.to_ascii_lowercase(), body)
    }

    /// The sid of the account's only application.
    pub async fn application(&self) -> Value {
        let (status, applications) = self.ask("GET", "/v1/Applications", Value::Null).await;
        assert_eq!((status, applications[0]["name"].as_str()), (200, Some("reception")));
        applications[0]["application_sid"].clone()
    }

    /// Waits until the call has this status.
    pub async fn turns(&self, call: &str, status: &str) -> Value {
        let wait = async {
            loop {
                let (_, shown) = self.ask("GET", call, Value::Null).await;
                if shown["call_status"] == status {
                    return shown;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(BOUND, wait).await.expect("the status")
    }

    /// The first request of this path, as soon as it has come.
    pub async fn asked(&self, path: &str) -> AppRequest {
        let wait = async {
            loop {
                let requests = self.server.requests();
                if let Some(request) = requests.into_iter().find(|request| request.path == path) {
                    return request;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(BOUND, wait).await.expect("a request")
    }

    pub async fn close(self) {
        self.http.shut_down(Duration::from_secs(1)).await;
        self.lab.close().await;
    }
}

pub fn to_teams() -> Value {
    json!({ "type": "teams", "number": USER })
}
