//! Where a caller is, which a carrier may not be told.

use super::hunting::in_need;
use super::peers::teams_sdp;
use super::rig::Rig;
use crate::sip::message::HeaderName;

#[test]
fn teams_053_a_carrier_that_is_to_hear_no_location_gets_the_description_alone() {
    let sdp = teams_sdp("sendrecv");
    let body = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b\r\nContent-Type: application/pidf+xml\r\n\
         Content-ID: <loc@x>\r\n\r\n<presence/>\r\n--b--\r\n"
    );
    let multipart = "Content-Type: multipart/mixed;boundary=b\r\nGeolocation: <cid:loc@x>\r\n";
    let located = |setting| in_need().of_carrier(setting).with(multipart).sdp(&body).begin();
    for (mut rig, told) in [
        (located("pass_location = true\n"), true),
        (located("pass_location = false\n"), false),
        // Who calls an emergency caller back is somebody else.
        (in_need().calling_back().with(multipart).sdp(&body).begin(), false),
    ] {
        let invite = rig.last_invite();
        let text = String::from_utf8_lossy(invite.message.as_bytes()).into_owned();
        assert_eq!((text.contains("presence"), text.contains("Geolocation")), (told, told));
        assert_eq!(
            invite.header(HeaderName::ContentType) == Some("application/sdp"),
            !told,
            "{text}"
        );
        assert!(text.contains("m=audio"), "{text}");
        rig.cancel(Rig::first_transaction(), "");
        rig.finish();
    }
}
