//! Tests of the room: the programme's own mapping, its examples, and what a careless change does.

use super::*;

fn gambella() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/gambella")
}

#[test]
fn the_examples_of_every_mapping_hold() {
    let mapping = Mapping::load(&gambella()).unwrap_or_else(|problems| panic!("{problems}"));
    examples::run(&mapping, &gambella()).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
}
