//! Requests and connections of nobody's leave a trace that says why they are nobody's.

use crate::lab::{BOUND, Lab, OUTSIDE, Plan};
use crate::phone::Phone;
use crate::records::Unidentified;
use portcullis::sip::Method;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio::time::timeout;

const TCP_PORT: u16 = 5070;

fn turned_away(method: Option<Method>, carrier: &str) -> Unidentified {
    Unidentified {
        method,
        reason: "network",
        why: format!("no carrier's `networks` have this address; the nearest are {carrier}/32 of carrier \"north\""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_from_an_address_that_no_network_has_is_told_of_and_not_answered() {
    for answer in ["silence", "403"] {
        let machine = format!(
            "[[listeners]]\nname = \"tcp\"\npurpose = \"carrier\"\ntransport = \"tcp\"\nbind = \"NODE:{TCP_PORT}\"\n\
             [guard]\nunknown_source = \"{answer}\"\n"
        );
        let lab = Lab::with(Plan {
            machine,
            ..Plan::default()
        })
        .await;
        let mut phone = Phone::stranger(&lab).await;
        let carrier = lab.carrier.address().ip().to_string();
        let contact = format!("Contact: <sip:{OUTSIDE}@{}>\r\n", phone.us);
        let offer = phone.offer("sendrecv");
        phone
            .send(&phone.request("INVITE", "1 INVITE", "a", &contact, &offer))
            .await;
        let told = lab.records.unidentified(1).await;
        assert_eq!(told, [turned_away(Some(Method::Invite), &carrier)]);
        match answer {
            "403" => drop(phone.receive("SIP/2.0 403 ").await),
            _ => {
                phone.send(&phone.request("OPTIONS", "2 OPTIONS", "b", "", "")).await;
                let told = lab.records.unidentified(2).await;
                assert_eq!(told[1], turned_away(Some(Method::Options), &carrier));
                assert_eq!(phone.unread(), None);
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(SocketAddr::new(phone.us.ip(), 0)).unwrap();
                let mut stream = socket.connect((lab.address(), TCP_PORT).into()).await.unwrap();
                let closed = timeout(BOUND, stream.read(&mut [0; 16])).await.expect("it is closed");
                assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
                let told = lab.records.unidentified(3).await;
                assert_eq!(told[2], turned_away(None, &carrier));
            }
        }
        assert_eq!(lab.records.count(), 0);
        lab.close().await;
    }
}
