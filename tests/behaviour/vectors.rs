//! What Teams says, as the files of `tests/data/teams/vectors` have it, with the names of a lab, of a dialog or of a request.

use crate::lab::{HUB, Lab};
use portcullis::sip::{HeaderName, Message};
use std::fs;
use std::path::Path;

/// The two dialogs of the files: Call-ID, tag of Teams, tag of the node.
const DIALOGS: [[&str; 3]; 2] = [
    [
        "0a3d72134fb3d6c024db4c510bc1605b",
        "1779cf3aa50c413afc7e05adb7e1b0de",
        "sbc3tag",
    ],
    [
        "cb7524d792327e4c443d619de5c71a7a",
        "6e1fcd704528ad8bf6d6bbedb9210096",
        "sbc4tag",
    ],
];
/// The tag of who answers in `answer.txt`.
pub const TAG_OF_ANSWER: &str = "530cd4f5fa328142c53a4250713c733e";

/// The messages, each by the name of its file.
pub struct Vectors(Vec<(String, String)>);

/// A dialog as Teams names it in its requests.
#[derive(Debug, Clone)]
pub struct Names {
    pub call_id: String,
    pub from_tag: String,
    pub to_tag: String,
}

impl Vectors {
    /// As this lab has them: its addresses, the name of its hub's proxy.
    pub fn of(lab: &Lab) -> Vectors {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/teams/vectors");
        let [a, b, c, _] = lab.address().octets();
        let [hub, proxy] = lab.teams.names();
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let vectors = files.iter().map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let text = text.replace("192.0.2.", &format!("{a}.{b}.{c}."));
            let text = text
                .replace("sip-du-a-eu.pstnhub.example.com", &proxy)
                .replace(HUB, &hub);
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            (name, text.replace('\n', "\r\n"))
        });
        Vectors(vectors.collect())
    }

    /// As the file has it.
    pub fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("no vector {name}")).1
    }

    /// One that begins something, which must not be what another of them has begun.
    pub fn anew(&self, name: &str, number: usize) -> String {
        let text = self.text(name).replace("z9hG4bK", &format!("z9hG4bK{number}x"));
        let call_id = header(&text, "CALL-ID").to_owned();
        with(&text, "CALL-ID", &format!("{number}x{call_id}"))
    }

    /// A request inside this dialog; of one that begins a dialog what it says of another one.
    pub fn inside(&self, name: &str, (dialog, cseq): (&Names, u32), number: usize) -> String {
        let begins = !header(self.text(name), "TO").contains(";tag=");
        let text = match begins {
            true => self.anew(name, number),
            false => self.text(name).replace("z9hG4bK", &format!("z9hG4bK{number}x")),
        };
        let text = DIALOGS.iter().fold(text, |text, [call_id, from_tag, to_tag]| {
            let text = text.replace(call_id, &dialog.call_id);
            text.replace(from_tag, &dialog.from_tag).replace(to_tag, &dialog.to_tag)
        });
        let method = text.split(' ').next().unwrap_or_default().to_owned();
        match begins {
            true => text,
            false => with(&text, "CSEQ", &format!("{cseq} {method}")),
        }
    }

    /// A response to this request of the node's.
    pub fn answering(&self, name: &str, request: &Message) -> String {
        let copied = |name| request.header(name).unwrap_or_default();
        let text = self.text(name);
        let tag = header(text, "TO").split_once(";tag=").map(|(_, tag)| tag);
        let text = with(text, "VIA", copied(HeaderName::Via));
        let text = with(&text, "FROM", copied(HeaderName::From));
        let text = with(&text, "CALL-ID", copied(HeaderName::CallId));
        let text = with(&text, "CSEQ", copied(HeaderName::CSeq));
        let tag = tag.map_or(String::new(), |tag| format!(";tag={tag}"));
        with(&text, "TO", &format!("{}{tag}", copied(HeaderName::To)))
    }
}

/// The value of a header, however its name is written.
pub fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| {
        let (known, value) = line.split_once(": ")?;
        known.eq_ignore_ascii_case(name).then_some(value)
    };
    text.lines().find_map(value).unwrap_or_default()
}

/// With another value of it.
pub fn with(text: &str, name: &str, value: &str) -> String {
    let old = header(text, name);
    assert!(!old.is_empty(), "{name} in {text}");
    text.replacen(&format!(": {old}\r\n"), &format!(": {value}\r\n"), 1)
}
