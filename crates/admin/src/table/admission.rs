//! Operations about certificates, and about what partners have open.

use openapi::Operation as Op;
use partners::{NewCertificate, NewCertificateRule};

use crate::operation::{Lists, Operations};
use crate::{certificate_rules, certificates, invites, room_keys, room_visits, rooms, sessions};

pub(super) fn operations() -> Operations {
    of_certificates()
        .and(of_authorities())
        .and(of_certificate_rules())
        .and(of_sessions())
        .and(of_rooms())
        .and(of_room_keys())
}

fn of_certificates() -> Operations {
    const OF_APP: &str = "/companies/{company}/apps/{app}/certificates";
    const REGISTER: &str = "/companies/{company}/apps/{app}/certificates/register";
    const CERTIFICATE: &str = "/certificates/{certificate}";
    type Shown = certificates::Shown;
    type Whole = certificates::Whole;
    Operations::default()
        .on(
            Op::get(OF_APP, "Lists an app's certificates by fingerprint, dead ones too").lists::<Shown>(),
            certificates::list_of_app,
        )
        .on(
            Op::post(
                OF_APP,
                "Has an authority of the gateway sign a certificate for an app, which is known by it from now on",
            )
            .takes::<certificates::New>()
            .shows::<Whole>()
            .makes::<Whole>(),
            certificates::create,
        )
        .on(
            Op::post(
                REGISTER,
                "Makes a certificate known that somebody else signed: it identifies the app from now on",
            )
            .takes::<NewCertificate>()
            .shows::<Whole>()
            .makes::<Whole>(),
            certificates::register,
        )
        .on(
            Op::get(
                "/certificates",
                "Lists certificates of all apps by fingerprint, or those that an authority signed",
            )
            .lists::<Shown>()
            .asks::<certificates::Filter>(),
            certificates::list,
        )
        .on(Op::get(CERTIFICATE, "Shows a certificate").shows::<Whole>(), certificates::show)
        .on(Op::delete(CERTIFICATE, "Deletes a certificate; its open connections end"), certificates::delete)
        .on(
            Op::post(
                "/certificates/{certificate}/revoke",
                "Makes a certificate open nothing from now on; its open connections end",
            )
            .may_take::<certificates::Why>()
            .shows::<Shown>(),
            certificates::revoke,
        )
        .on(
            Op::post(
                "/certificates/{certificate}/renew",
                "Has one signed that takes this one's place, which works on until it is over or revoked",
            )
            .takes::<certificates::Renewal>()
            .shows::<Whole>()
            .makes::<Whole>(),
            certificates::renew,
        )
}

fn of_authorities() -> Operations {
    const LIST: &str = "/certificate-authorities/{authority}/crl";
    const RENEW: &str = "/certificate-authorities/{authority}/renew";
    Operations::default()
        .on(
            Op::get("/certificate-authorities", "Lists authorities that sign certificates here, by name")
                .lists::<certificates::ShownAuthority>(),
            certificates::authorities,
        )
        .on(
            Op::post(RENEW, "Has an authority that the gateway made sign with a new certificate of its key")
                .shows::<certificates::ShownAuthority>(),
            certificates::renew_authority,
        )
        .on(
            Op::get(LIST, "The list of what an authority signed that is revoked, in PEM").or_says(&["text/plain"]),
            certificates::revocations,
        )
}

fn of_certificate_rules() -> Operations {
    const OF_APP: &str = "/companies/{company}/apps/{app}/certificate-rules";
    const RULE: &str = "/certificate-rules/{name}";
    type Shown = certificate_rules::Shown;
    Operations::default()
        .on(
            Op::get("/certificate-rules", "Lists names in certificates by which apps are known").lists::<Shown>(),
            certificate_rules::list,
        )
        .on(
            Op::post(OF_APP, "Has an app be known by a name in its certificates, whichever certificate it is")
                .takes::<NewCertificateRule>()
                .shows::<Shown>()
                .makes::<Shown>(),
            certificate_rules::create,
        )
        .on(Op::get(RULE, "Shows a rule of certificates").shows::<Shown>(), certificate_rules::show)
        .on(Op::delete(RULE, "Deletes a rule of certificates; what is open by it ends"), certificate_rules::delete)
}

fn of_rooms() -> Operations {
    Operations::default()
        .on(
            Op::get("/rooms", "Lists waiting rooms with what is counted in them, by name").lists::<room_desk::Shown>(),
            rooms::list,
        )
        .on(Op::get("/rooms/{room}", "Shows a waiting room").answers::<room_desk::Shown>(), rooms::show)
        .on(
            Op::post("/rooms/{room}/move", "Moves the serving number of a waiting room up or down")
                .at_once()
                .takes::<room_desk::Move>()
                .answers::<room_desk::Shown>(),
            rooms::move_by,
        )
        .on(
            Op::post("/rooms/{room}/state", "Opens, pauses or closes a waiting room, or has everybody pass")
                .at_once()
                .takes::<room_desk::SetState>()
                .answers::<room_desk::Shown>(),
            rooms::set_state,
        )
        .on(
            Op::post("/rooms/{room}/invites", "Makes invites to a lane of a waiting room")
                .at_once()
                .takes::<room_desk::New>()
                .answers::<room_desk::Made>(),
            invites::make,
        )
        .on(
            Op::post("/rooms/{room}/draw", "Has lots drawn that wait for a public value")
                .at_once()
                .takes::<room_desk::Draw>()
                .answers::<room_desk::Shown>(),
            rooms::draw,
        )
        .on(
            Op::post("/rooms/{room}/reset", "Begins everything in a waiting room anew")
                .at_once()
                .answers::<room_desk::Shown>(),
            rooms::reset,
        )
        .on(
            Op::post(
                "/rooms/{room}/undo-reset",
                "Takes a reset of the last hour back; who came since is behind the others",
            )
            .at_once()
            .answers::<room_desk::Shown>(),
            rooms::undo_reset,
        )
        .on(
            Op::post("/rooms/{room}/keys", "Has a key that another program made sign a room's tokens from now on")
                .at_once()
                .takes::<room_desk::Imported>()
                .answers::<room_desk::Key>(),
            rooms::import_key,
        )
        .and(of_room_desks())
}

fn of_room_desks() -> Operations {
    Operations::default()
        .on(
            Op::get("/rooms/{room}/history", "Shows what was counted in a waiting room from time to time")
                .answers::<room_desk::History>(),
            room_visits::history,
        )
        .on(
            Op::get("/rooms/{room}/visits", "Lists visits behind a waiting room, the latest first")
                .lists::<room_desk::ShownVisit>()
                .asks::<room_visits::Question>(),
            room_visits::visits,
        )
        .on(
            Op::post("/rooms/{room}/inlet", "Sets what raises the serving number of a waiting room by itself")
                .at_once()
                .takes::<room_desk::SetInlet>()
                .answers::<room_desk::Shown>(),
            room_visits::set_inlet,
        )
        .on(
            Op::post("/rooms/{room}/visits/{visit}/end", "Ends a visit behind a waiting room")
                .at_once()
                .takes::<room_desk::End>()
                .answers::<room_desk::Ended>(),
            room_visits::end,
        )
        .on(
            Op::get("/rooms/{room}/events", "Lists what operators did with a waiting room, the latest first")
                .lists::<room_visits::Event>(),
            room_visits::events,
        )
}

fn of_room_keys() -> Operations {
    Operations::default()
        .on(
            Op::post("/rooms/{room}/invites/revoke", "Has invites to a waiting room open nothing any more")
                .at_once()
                .takes::<room_desk::Revoke>()
                .answers::<room_desk::Revoked>(),
            invites::revoke,
        )
        .on(
            Op::post("/rooms/{room}/rotate-key", "Makes another key to sign a room's tokens, now or later")
                .at_once()
                .takes::<room_keys::Rotation>()
                .answers::<room_keys::Rotated>(),
            room_keys::rotate,
        )
        .on(
            Op::get("/room-access-keys", "Lists what programs sign with that operate rooms as those of AWS, by name")
                .lists::<room_keys::Shown>(),
            room_keys::list,
        )
        .on(
            Op::post("/room-access-keys", "Makes an access key, whose secret is in the answer and shown never again")
                .at_once()
                .takes::<room_keys::New>()
                .makes::<room_keys::Made>(),
            room_keys::create,
        )
        .on(
            Op::delete("/room-access-keys/{name}", "Deletes an access key: what it signs is refused").at_once(),
            room_keys::delete,
        )
}

fn of_sessions() -> Operations {
    const SESSION: &str = "/sessions/{session}";
    type Shown = sessions::Shown;
    Operations::default()
        .on(
            Op::get("/sessions", "Lists what partners have open at backends, in the order in which it was opened")
                .lists::<Shown>()
                .asks::<sessions::Question>(),
            sessions::list,
        )
        .on(Op::get(SESSION, "Shows a session").answers::<Shown>(), sessions::show)
        .on(
            Op::delete(SESSION, "Has a session closed: at once if the backend does it, or tried again until it does")
                .at_once()
                .answers::<Shown>()
                .with_status(http::StatusCode::OK),
            sessions::end,
        )
}
