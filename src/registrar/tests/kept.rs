//! Bindings over a restart.

use super::*;
use crate::store::{Store, StoreFile, Table};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static FILES: AtomicU32 = AtomicU32::new(0);

struct File(PathBuf);

impl File {
    fn new() -> File {
        let name = format!(
            "portcullis-bindings-{}-{}",
            std::process::id(),
            FILES.fetch_add(1, Relaxed)
        );
        File(std::env::temp_dir().join(name))
    }

    fn registrar(&self, config: &Config, seconds: u64) -> Registrar {
        let registrar = registrar();
        let mut file = StoreFile::open(&self.0).expect("a store");
        let kept = file.read_all(Table::Bindings).expect("read");
        let store = Arc::new(Store::start(file).expect("a writer"));
        // Another process: its own clock begins anew, the wall's goes on.
        let clocks = Clocks {
            now: at(0),
            unix: clocks(seconds).unix,
        };
        registrar.restore(kept, store, config, clocks);
        registrar
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

#[test]
fn users_are_where_they_were_but_for_their_connections() {
    let (file, config) = (File::new(), config());
    let registrar = file.registrar(&config, 0);
    Phone::alice().register(
        &registrar,
        &config,
        "Contact: <sip:alice@10.0.0.9:5060>;q=0.7\r\nExpires: 60\r\n",
        10,
    );
    let contact = "Contact: <sip:bob@10.0.0.4;transport=tcp>;expires=300\r\n";
    Phone::new("bob", "builder", tcp("203.0.113.8:50000", 5)).register(&registrar, &config, contact, 10);
    let mut gone = Phone::new("alice", "wonderland", udp("203.0.113.7:4444"));
    gone.register(&registrar, &config, "Contact: <sip:alice@203.0.113.7:4444>\r\n", 10);
    gone.register(
        &registrar,
        &config,
        "Contact: <sip:alice@203.0.113.7:4444>;expires=0\r\n",
        11,
    );
    drop(registrar);

    let again = file.registrar(&config, 40);
    let alice = again.bindings(&Aor::new("alice", REALM), at(0));
    assert_eq!(alice.len(), 1, "{alice:?}");
    assert_eq!(
        (alice[0].device.q, alice[0].expires),
        (700, at(30)),
        "60 s from second 10 on"
    );
    assert_eq!(alice[0].flow().map(|hop| hop.remote), NAT.parse().ok());
    let bob = again.bindings(&Aor::new("bob", REALM), at(0)).remove(0);
    assert!(
        bob.flow().is_none() && !bob.is_reachable(),
        "its connection is gone, and it is behind NAT"
    );
    drop(again);

    let late = file.registrar(&config, 75);
    assert!(
        late.bindings(&Aor::new("alice", REALM), at(0)).is_empty(),
        "run out while nobody was there"
    );
}

#[test]
fn who_is_no_user_any_more_and_what_can_not_be_read_is_left_out() {
    let (file, config) = (File::new(), config());
    let registrar = file.registrar(&config, 0);
    Phone::alice().register(&registrar, &config, "Contact: <sip:alice@10.0.0.9:5060>\r\n", 10);
    drop(registrar);
    let store = Store::start(StoreFile::open(&file.0).expect("a store")).expect("a writer");
    store.put(
        crate::store::Table::Bindings,
        b"bob@sip.contoso.example".to_vec(),
        Some(b"[{".to_vec()),
    );
    drop(store);
    let less = Config::from_toml_strs(&sbc(), &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    drop(file.registrar(&less, 11));
    let registrar = file.registrar(&config, 12);
    assert_eq!(registrar.status(at(0)).bindings, [], "and forgotten in the file too");
}
