//! What the load posts: one invented intervention of about 4 KB for each child.

use serde_json::{Value, json};

/// A note that brings a post to about 4 KB.
const NOTE_BYTES: usize = 2_600;

/// The intervention's number.
pub fn number(child: usize) -> String {
    format!("989-26-BENCH-{child}")
}

/// The child's number.
pub fn person(child: usize) -> String {
    format!("989-BENCH{child}")
}

/// The post.
pub fn post(child: usize) -> Value {
    json!({
        "request_type": "PrimeroOutgoingReferral",
        "interventions": [{
            "progres_interventionnumber": number(child),
            "progres_interventionstartdate": "2026-02-01T00:00:00Z",
            "interventiontype.progres_description": "Alternative Care",
            "individuals.progres_id": person(child),
            "individuals.progres_registrationgroupid": { "Id": "x", "Name": "989-BENCHGROUP", "LogicalName": "progres_registrationgroup" },
            "individuals.progres_givenname": "Testina",
            "individuals.progres_familyname": "Examplename",
            "individuals.progres_dateofbirth": "2014-05-06T00:00:00Z",
            "individuals.progres_sex": "125080000",
            "progres_interventiondescription": format!("<p>{}</p>", "invented ".repeat(NOTE_BYTES / 9)),
            "specificneeds.progres_spncategory2": { "Name": "never read" },
            "user.title": "Protection Associate",
            "user.internalemailaddress": "protection@example.org",
        }]
    })
}
