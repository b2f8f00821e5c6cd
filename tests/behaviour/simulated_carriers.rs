//! The simulated carrier as a caller that proves itself: by a password, and over TLS.

use crate::lab::{CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use portcullis::sim::{
    CarrierPapers, CarrierSettings, CarrierSim, CarrierWire, Dial, EndedBy, Papers, Script, Showing,
};
use portcullis::sip::digest::Credentials;
use std::net::{Ipv4Addr, SocketAddr};

/// A number of the tenant's that lives on the carrier with TLS.
const ON_WEST: &str = "+14255550250";
const WEST: &str = "gw.west.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_carrier_proves_its_password() {
    let lab = Lab::with(Plan {
        carrier: "[[carriers]]\nid = \"west\"\ndigest = { username = \"west\", password = \"secret\" }\n".to_owned(),
        ..Plan::default()
    })
    .await;
    let [a, b, c, _] = lab.address().octets();
    let west = CarrierSim::start(CarrierSettings {
        listen: SocketAddr::new(Ipv4Addr::new(a, b, c, 7).into(), 5060),
        sbc: Some(SocketAddr::new(lab.address().into(), 5060)),
        wire: CarrierWire::Udp,
        tone: CARRIER_TONE,
    })
    .unwrap();
    let with = |password: &str| {
        let mut dial = Dial::new(OUTSIDE, USER);
        dial.credentials = Some(Credentials {
            realm: String::new(),
            username: "west".to_owned(),
            password: password.to_owned(),
        });
        dial
    };
    let call = west.place_call(with("secret")).await.unwrap();
    call.answered().await.unwrap();
    call.hears(TEAMS_TONE).await.unwrap();
    call.hang_up().await.unwrap();
    let refused = west.place_call(with("guess")).await.unwrap().ended().await.unwrap();
    assert_eq!((refused.by, refused.status), (EndedBy::Peer, Some(401)));
    assert_eq!(west.violations(), []);
    west.shut_down().await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_carrier_calls_and_is_called_over_tls() {
    let folder = std::env::temp_dir().join(format!("portcullis-west-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let papers = Papers::make(&folder, WEST, &[]).unwrap();
    let root = papers.root.display();
    let lab = Lab::with(Plan {
        machine: format!(
            "\"{WEST}\" = [\"CARRIER\"]\n[[listeners]]\nname = \"tls\"\npurpose = \"carrier\"\ntransport = \"tls\"\n\
             bind = \"NODE:5071\"\nadvertise = \"sbc1.example.net\"\n\
             certificates = [{{ certificate = \"../sbc.pem\", key = \"../sbc.key\" }}]\nroots = \"{root}\"\n\
             [[carriers]]\nid = \"west\"\nnetworks = [\"CARRIER\"]\ntransports = [\"tls\"]\n\
             gateways = [{{ host = \"{WEST}\", port = 5061, transport = \"tls\" }}]\n"
        ),
        carrier: "transports = [\"udp\"]\n".to_owned(),
        tenant: format!("[[numbers]]\nnumber = \"{ON_WEST}\"\nto = {{ carrier = \"west\" }}\n"),
        ..Plan::default()
    })
    .await;
    let [a, b, c, _] = lab.address().octets();
    let west = CarrierSim::start(CarrierSettings {
        listen: SocketAddr::new(Ipv4Addr::new(a, b, c, 2).into(), 5061),
        sbc: Some(SocketAddr::new(lab.address().into(), 5071)),
        wire: CarrierWire::Tls(CarrierPapers {
            certificate: papers.sbc_certificate.clone(),
            key: papers.sbc_key.clone(),
            roots: lab.roots.clone(),
            showing: Showing::Sound,
        }),
        tone: CARRIER_TONE,
    })
    .unwrap();
    let mut dial = Dial::new(OUTSIDE, USER);
    dial.host = Some("sbc1.example.net".to_owned());
    let call = west.place_call(dial).await.unwrap();
    call.answered().await.unwrap();
    call.hears(TEAMS_TONE).await.unwrap();
    call.hang_up().await.unwrap();

    // Each side ends one.
    for script in ["answer", "answer, wait 100ms, hang-up"] {
        west.set_script(script.parse::<Script>().unwrap());
        let call = lab.carrier.place_call(Dial::new(OUTSIDE, ON_WEST)).await.unwrap();
        call.answered().await.unwrap();
        match script {
            "answer" => {
                let called = west.incoming().await.unwrap();
                called.hears(CARRIER_TONE).await.unwrap();
                call.hang_up().await.unwrap();
                assert_eq!(called.ended().await.unwrap().by, EndedBy::Peer);
            }
            _ => assert_eq!(call.ended().await.unwrap().by, EndedBy::Peer),
        }
    }
    assert_eq!(west.violations(), []);
    west.shut_down().await;
    lab.close().await;
    let _removed = std::fs::remove_dir_all(&folder);
}
