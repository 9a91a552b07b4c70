//! A country is configuration: what keeps a mapping from being used, and a second programme that no line of the program knows.

mod dadaab;

use referrald::config::{Environment, Unapproved};

use crate::world::World;

const AGREEMENT: &str = "SANDBOX-AGREEMENT";

/// What is said when the daemon is asked to start.
async fn said(world: &mut World) -> Option<String> {
    world.try_start().await.err().map(|error| error.to_string())
}

fn edit(world: &World, file: &str, change: impl FnOnce(String) -> String) {
    let path = world.stage.directory().join("mappings/gambella").join(file);
    let text = std::fs::read_to_string(&path).expect("the file is there");
    std::fs::write(path, change(text)).expect("the file can be changed");
}

fn approve(world: &World) {
    let directory = world.stage.directory().join("mappings/gambella");
    let mapping = referrald::mapping::Mapping::load(&directory).expect("the mapping is right");
    let digest = mapping.digest();
    let lines = format!(
        "[approval]\nagreement = \"{AGREEMENT}\"\nby_role = \"CP coordinator\"\non = \"2026-02-01\"\ndigest = \"{digest}\"\n"
    );
    edit(world, "mapping.toml", |text| text + &lines);
}

/// Confirms every row of the two tables of services.
fn confirm(world: &World) {
    for file in ["tables/service-in.csv", "tables/service-out.csv"] {
        edit(world, file, |text| text.replace(",,,", ",CP coordinator,2026-02-01,"));
    }
}

#[tokio::test]
async fn in_production_a_mapping_that_nobody_approved_is_refused() {
    let mut world = World::without_daemon(&[]).await;
    confirm(&world);
    world.settings_mut().environment = Environment::Production;
    world.settings_mut().mapping_unapproved = Unapproved::Refuse;
    let refused = said(&mut world).await.expect("the start is refused");
    assert!(refused.contains("nobody has approved this mapping (hint: "), "{refused}");
    approve(&world);
    // Only the sandbox's own certificate stands between this world and production.
    let refused = said(&mut world).await.expect("a sandbox is no production");
    assert!(refused.contains("sandbox"), "{refused}");
    edit(&world, "tables/sex-in.csv", |text| text.replace("Unknown,unknown", "Not known,unknown"));
    let refused = said(&mut world).await.expect("the start is refused");
    assert!(refused.contains("the mapping has changed since it was approved (hint: "), "{refused}");
}

#[tokio::test]
async fn in_production_a_service_that_nobody_confirmed_cannot_be_opened() {
    let mut world = World::without_daemon(&[]).await;
    world.settings_mut().environment = Environment::Production;
    world.settings_mut().mapping_unapproved = Unapproved::Warn;
    let refused = said(&mut world).await.expect("the start is refused");
    let lines: Vec<&str> = refused.lines().filter(|line| line.contains("/tables/")).collect();
    assert_eq!(lines.len(), 7, "{refused}");
    assert!(
        lines[0].contains(
            "mappings/gambella/tables/service-in.csv:2: `Alternative Care` is opened by `flow1.service_types`, but nobody"
        ),
        "{refused}"
    );
    assert!(lines[4].contains("service-out.csv:2: `alternative_care` is opened by `referrals.service_types`"), "{refused}");
    confirm(&world);
    let refused = said(&mut world).await.expect("a sandbox is no production");
    assert!(refused.contains("sandbox"), "{refused}");
}

#[tokio::test]
async fn a_service_that_is_opened_in_capitals_is_opened() {
    let mut world = World::without_daemon(&[]).await;
    world.settings_mut().environment = Environment::Production;
    world.settings_mut().mapping_unapproved = Unapproved::Warn;
    world.settings_mut().flow1.service_types = vec![" ALTERNATIVE Care".to_owned()];
    world.settings_mut().referrals.service_types = vec!["Education_Formal ".to_owned()];
    let refused = said(&mut world).await.expect("the start is refused");
    let lines: Vec<&str> = refused.lines().filter(|line| line.contains("/tables/")).collect();
    assert_eq!(lines.len(), 2, "{refused}");
    assert!(lines[0].contains("service-in.csv:2: `Alternative Care` is opened by `flow1.service_types`"), "{refused}");
    assert!(lines[1].contains("service-out.csv:6: `education_formal` is opened by `referrals.service_types`"), "{refused}");
}

#[tokio::test]
async fn elsewhere_both_are_warnings() {
    let mut world = World::without_daemon(&[]).await;
    assert_eq!(said(&mut world).await, None);
    world.end().await;
}
