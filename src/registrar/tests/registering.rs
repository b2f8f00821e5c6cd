//! Devices that register, refresh, move and say good-bye.

use super::*;

const HERE: &str = "Contact: <sip:alice@203.0.113.7:40001>\r\n";

#[test]
fn a_device_registers_refreshes_and_says_good_bye() {
    let (registrar, config) = (registrar(), config());
    let (mut phone, aor) = (Phone::alice(), Aor::new("alice", REALM));
    let done = phone.register(&registrar, &config, &format!("{HERE}Expires: 600\r\n"), 10);
    assert_eq!(done.status(), 200);
    assert_eq!(contacts(&done), ["<sip:alice@203.0.113.7:40001>;expires=600"]);
    let binding = registrar.bindings(&aor, at(10)).remove(0);
    assert_eq!((binding.remote, binding.behind_nat), (phone.flow.remote, false));
    phone.register(&registrar, &config, HERE, 300);
    assert_eq!(
        registrar.bindings(&aor, at(300))[0].expires,
        at(300 + 7200),
        "the longest, when nothing is asked"
    );
    let gone = phone.register(
        &registrar,
        &config,
        "Contact: <sip:alice@203.0.113.7:40001>;expires=0\r\n",
        400,
    );
    assert_eq!((gone.status(), contacts(&gone).len()), (200, 0));
    assert!(registrar.bindings(&aor, at(400)).is_empty());
}

#[test]
fn a_question_changes_nothing_and_a_star_removes_all() {
    let (registrar, config) = (registrar(), config());
    let mut one = Phone::alice();
    one.register(&registrar, &config, HERE, 10);
    let mut other = Phone::new("alice", "wonderland", tcp("203.0.113.7:50000", 9));
    other.register(
        &registrar,
        &config,
        "Contact: <sip:alice@10.0.0.4:5060;transport=tcp>;q=0.3\r\n",
        10,
    );
    let told = one.register(&registrar, &config, "", 11);
    assert_eq!(contacts(&told).len(), 2, "{told:?}");
    assert!(contacts(&told)[1].contains("q=0.300"), "{told:?}");
    let told = one.register(&registrar, &config, "Contact: *\r\nExpires: 0\r\n", 12);
    assert_eq!((told.status(), contacts(&told).len()), (200, 0));
}

#[test]
fn behind_nat_the_way_is_kept_open_and_the_source_is_where_it_leads() {
    let (registrar, config) = (registrar(), config());
    let mut phone = Phone::alice();
    let done = phone.register(
        &registrar,
        &config,
        "Contact: <sip:alice@10.0.0.9:5060>\r\nExpires: 3600\r\n",
        10,
    );
    assert_eq!(contacts(&done), ["<sip:alice@10.0.0.9:5060>;expires=60"]);
    let binding = registrar.bindings(&Aor::new("alice", REALM), at(10)).remove(0);
    assert!(binding.behind_nat);
    assert_eq!(binding.flow().map(|hop| hop.remote), Some(phone.flow.remote));
}

#[test]
fn on_a_stream_the_binding_lasts_no_longer_than_a_quiet_connection() {
    let (registrar, config) = (registrar(), config());
    let mut phone = Phone::new("alice", "wonderland", tcp("203.0.113.7:50000", 9));
    let contact = "Contact: <sip:alice@10.0.0.4:5060;transport=tcp>;expires=7200\r\n";
    let done = phone.register(&registrar, &config, contact, 10);
    assert!(
        contacts(&done)[0].ends_with("expires=450"),
        "three quarters of idle_connection: {done:?}"
    );
    assert_eq!(done.value(HeaderName::Require), None);
    let outbound = "Contact: <sip:alice@10.0.0.4:5060;transport=tcp>;+sip.instance=\"<urn:uuid:1>\";reg-id=1;expires=7200\r\n\
                    Supported: outbound\r\n";
    let done = phone.register(&registrar, &config, outbound, 11);
    assert!(
        contacts(&done)[0].contains("expires=7200"),
        "it pings (RFC 5626): {done:?}"
    );
    assert_eq!(done.value(HeaderName::Require), Some("outbound"));
    assert_eq!(done.value(HeaderName::FlowTimer), Some("120"));
}

#[test]
fn a_brief_interval_is_refused_with_the_shortest() {
    let (registrar, config) = (registrar(), config());
    let done = Phone::alice().register(&registrar, &config, &format!("{HERE}Expires: 30\r\n"), 10);
    assert_eq!((done.status(), done.value(HeaderName::MinExpires)), (423, Some("60")));
    assert!(registrar.bindings(&Aor::new("alice", REALM), at(10)).is_empty());
}

#[test]
fn a_late_copy_of_an_older_register_undoes_nothing() {
    let (registrar, config) = (registrar(), config());
    let mut phone = Phone::alice();
    phone.register(&registrar, &config, HERE, 10);
    phone.cseq -= 2;
    let late = phone.register(
        &registrar,
        &config,
        "Contact: <sip:alice@203.0.113.7:40001>;expires=0\r\n",
        11,
    );
    assert_eq!(late.status(), 400);
    assert_eq!(registrar.bindings(&Aor::new("alice", REALM), at(11)).len(), 1);
}

#[test]
fn a_device_that_moved_takes_the_place_of_itself() {
    let (registrar, config) = (registrar(), config());
    let contact = |address: &str| format!("Contact: <sip:alice@{address}>;+sip.instance=\"<urn:uuid:7>\"\r\n");
    Phone::alice().register(&registrar, &config, &contact("10.0.0.9:5060"), 10);
    let mut moved = Phone::new("alice", "wonderland", udp("198.51.100.8:1024"));
    let done = moved.register(&registrar, &config, &contact("10.1.1.1:5060"), 11);
    assert_eq!(contacts(&done).len(), 1, "{done:?}");
}

#[test]
fn the_oldest_device_makes_room_and_a_full_tenant_says_when_to_come_back() {
    let (registrar, config) = (registrar(), config());
    let register = |user, password, port: u16, seconds| {
        let mut phone = Phone::new(user, password, udp(&format!("203.0.113.7:{port}")));
        // Preferred the more the older: age alone decides who makes room.
        phone.register(
            &registrar,
            &config,
            &format!(
                "Contact: <sip:{user}@203.0.113.7:{port}>;q=0.{:03}\r\n",
                999 - port % 1000
            ),
            seconds,
        )
    };
    for port in [4001, 4002, 4003, 4004] {
        assert_eq!(register("alice", "wonderland", port, 10).status(), 200);
    }
    let ports: Vec<u16> = registrar
        .bindings(&Aor::new("alice", REALM), at(10))
        .iter()
        .map(|binding| binding.remote.port())
        .collect();
    assert_eq!(ports, [4002, 4003, 4004]);
    assert_eq!(register("bob", "builder", 5001, 10).status(), 200);
    assert_eq!(register("bob", "builder", 5002, 10).status(), 200);
    let full = register("bob", "builder", 5003, 10);
    assert_eq!((full.status(), full.value(HeaderName::RetryAfter)), (503, Some("60")));
    assert_eq!(registrar.status(at(10)).evicted, 1);
    assert_eq!(
        register("bob", "builder", 5003, 10 + 7200).status(),
        200,
        "what ran out makes room"
    );
}

#[test]
fn users_are_listed_with_their_devices() {
    let (registrar, config) = (registrar(), config());
    Phone::new("bob", "builder", udp("203.0.113.7:4001")).register(
        &registrar,
        &config,
        "Contact: <sip:bob@203.0.113.7:4001>;expires=60\r\n",
        10,
    );
    Phone::alice().register(&registrar, &config, HERE, 10);
    let names = |most, seconds, wanted: &dyn Fn(&Aor) -> bool| {
        let found = registrar.list(at(seconds), most, wanted);
        found
            .iter()
            .map(|(aor, devices)| (aor.user.to_string(), devices.len()))
            .collect::<Vec<_>>()
    };
    let (alice, bob) = (("alice".to_owned(), 1), ("bob".to_owned(), 1));
    assert_eq!(names(9, 11, &|_| true), [alice.clone(), bob.clone()]);
    assert_eq!(names(1, 11, &|_| true).len(), 1);
    assert_eq!(names(9, 11, &|aor| &*aor.user == "bob"), [bob]);
    assert_eq!(names(9, 71, &|_| true), [alice], "bob's has run out");
}

#[test]
fn a_user_that_the_configuration_drops_is_gone() {
    let (registrar, config) = (registrar(), config());
    Phone::alice().register(&registrar, &config, HERE, 10);
    let less = Config::from_toml_strs(&super::sbc(), &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    registrar.apply(&config);
    assert_eq!(registrar.status(at(11)).bindings, [(REALM.to_owned(), 1)]);
    registrar.apply(&less);
    assert_eq!(registrar.status(at(11)).bindings, []);
}
