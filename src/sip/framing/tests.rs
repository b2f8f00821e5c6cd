use super::*;
use proptest::prelude::*;

fn message(length: &str, body: &str) -> String {
    format!(
        "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9\r\nFrom: <sip:f@b>;tag=1\r\nTo: <sip:t@b>\r\n\
         Call-ID: x\r\nCSeq: 1 OPTIONS\r\n{length}\r\n{body}"
    )
}

fn frames(chunks: &[&[u8]]) -> (Vec<Frame>, Option<FramingError>) {
    let mut framer = StreamFramer::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        loop {
            match framer.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn failure(text: &str) -> FramingError {
    frames(&[text.as_bytes()]).1.unwrap()
}

fn source() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 40000))
}

#[test]
fn messages_and_keep_alives_come_out_in_order() {
    let one = message("Content-Length: 5\r\n", "hello");
    let two = message("l:\r\n 0\r\n", "");
    let stream = format!("\r\n\r\n{one}\r\n{two}\r\n\r\n\r\n");
    let (frames, error) = frames(&[stream.as_bytes()]);
    assert!(error.is_none());
    assert_eq!(
        frames,
        [
            Frame::KeepAlivePing,
            Frame::Message(one.into()),
            Frame::Message(two.into()),
            Frame::KeepAlivePing,
            Frame::Pong
        ]
    );
}

#[test]
fn an_unfinished_message_waits() {
    let text = message("Content-Length: 5\r\n", "hell");
    let mut framer = StreamFramer::new();
    framer.push(text.as_bytes());
    assert_eq!(framer.next().unwrap(), None);
    assert!(framer.is_within_message());
    framer.push(b"o");
    assert!(matches!(framer.next(), Ok(Some(Frame::Message(_)))));
    assert!(!framer.is_within_message());
}

#[test]
fn lost_framing_is_answered_once_and_stays_lost() {
    let cases = [
        (message("", ""), FramingErrorKind::NoContentLength, 400),
        (
            message("Content-Length: -1\r\n", ""),
            FramingErrorKind::Head(ParseErrorKind::ContentLength),
            400,
        ),
        (
            message("Content-Length: 1\r\nl: 2\r\n", ""),
            FramingErrorKind::Head(ParseErrorKind::ContentLength),
            400,
        ),
        (
            message("Content-Length \t: 1\r\nl: 2\r\n", ""),
            FramingErrorKind::Head(ParseErrorKind::ContentLength),
            400,
        ),
    ];
    for (text, kind, status) in cases {
        let error = failure(&text);
        assert_eq!(error.kind(), &kind);
        let answer = Message::parse(error.answer("t", source()).unwrap()).unwrap();
        assert_eq!((answer.status(), answer.call_id()), (Some(status), "x"));
    }
    let mut framer = StreamFramer::new();
    framer.push(message("", "").as_bytes());
    assert!(framer.next().is_err());
    framer.push(message("Content-Length: 0\r\n", "").as_bytes());
    assert!(framer.next().is_err());
}

#[test]
fn size_is_refused_before_it_is_stored() {
    let error = failure(&message("Content-Length: 4294967296\r\n", ""));
    assert!(matches!(error.kind(), FramingErrorKind::TooLarge { .. }));
    assert_eq!(error.status(), 513);
    assert_eq!(
        Message::parse(error.answer("t", source()).unwrap()).unwrap().status(),
        Some(513)
    );
    assert_eq!(
        failure(&"a".repeat(MAX_HEAD + 1)).kind(),
        &FramingErrorKind::HeadTooLarge
    );
    let many = message(&"X: 1\r\n".repeat(6_000), "");
    let error = failure(&many);
    assert_eq!(error.kind(), &FramingErrorKind::HeadTooLarge);
    let answer = Message::parse(error.answer("t", source()).unwrap()).unwrap();
    assert_eq!((answer.status(), answer.call_id()), (Some(513), "x"));
    let mut framer = StreamFramer::new();
    for _ in 0..200 {
        framer.push(&[b'a'; 1000]);
    }
    assert!(matches!(
        framer.next().unwrap_err().kind(),
        FramingErrorKind::Overflow { .. }
    ));
    assert_eq!(framer.buffer.capacity(), 0);
}

#[test]
fn bare_line_feeds_lose_the_frame() {
    let text = message("Content-Length: 0\r\n", "").replace("Call-ID: x\r\n", "Call-ID: x\n");
    assert!(matches!(
        failure(&text).kind(),
        FramingErrorKind::Head(ParseErrorKind::LineEnd)
    ));
}

fn only_messages(frames: Vec<Frame>) -> Vec<Frame> {
    frames
        .into_iter()
        .filter(|frame| matches!(frame, Frame::Message(_)))
        .collect()
}

proptest! {
    #[test]
    fn chunks_do_not_matter(
        bodies in proptest::collection::vec("[a-z\r\n]{0,40}", 1..5),
        gaps in proptest::collection::vec(0usize..4, 5),
        cuts in proptest::collection::vec(1usize..60, 1..60),
    ) {
        let mut stream = Vec::new();
        for (body, gap) in bodies.iter().zip(gaps) {
            stream.extend_from_slice("\r\n".repeat(gap).as_bytes());
            stream.extend_from_slice(message(&format!("Content-Length: {}\r\n", body.len()), body).as_bytes());
        }
        let (whole, error) = frames(&[&stream]);
        prop_assert!(error.is_none());
        let whole = only_messages(whole);
        prop_assert_eq!(whole.len(), bodies.len());
        let mut chunks = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (chunk, tail) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk);
            rest = tail;
        }
        let (cut, error) = frames(&chunks);
        prop_assert!(error.is_none());
        prop_assert_eq!(only_messages(cut), whole);
    }

    #[test]
    fn no_bytes_make_a_panic(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..20)) {
        let chunks: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
        let _ = frames(&chunks);
    }
}
