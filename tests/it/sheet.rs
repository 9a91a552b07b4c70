//! The sheet and the changes as people get them: files of the real binary, and revisions of a real repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use calamine::{Reader, Xlsx, open_workbook};

fn referrald(arguments: &[&str], folder: &Path) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_referrald")).args(arguments).current_dir(folder).env_clear().output();
    command.expect("the binary was built beside this test")
}

fn told(arguments: &[&str], folder: &Path) -> (String, i32) {
    let output = referrald(arguments, folder);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks UTF-8");
    (text(output.stdout) + &text(output.stderr), output.status.code().unwrap_or(-1))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder is there").map(|entry| entry.expect("it can be read").path()) {
        let to = to.join(entry.file_name().expect("it has a name"));
        if entry.is_dir() {
            copy(&entry, &to);
        } else {
            fs::copy(&entry, &to).expect("a file can be copied");
        }
    }
}

/// The mappings in a folder of their own, below the top of it.
fn country() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mappings = folder.path().join("site/mappings");
    for name in ["base", "gambella"] {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings").join(name), &mappings.join(name));
    }
    (folder, mappings.join("gambella"))
}

fn git(folder: &Path, arguments: &[&str]) {
    let names = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").arg("-C").arg(folder).args(names).args(arguments).output().expect("git is there");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn teach_a_sex(gambella: &Path) {
    let table = gambella.join("tables/sex-in.csv");
    let text = fs::read_to_string(&table).expect("the table is there");
    fs::write(&table, text + "125080009,Intersex,other_b25f252,Other\n").expect("the table can be written");
}

const IN_WORDS: &str = "- sex: 125080009 (Intersex) is now other\\_b25f252 (Other) instead of refused (New case in Primero)";

#[test]
fn the_name_of_the_file_chooses_the_format() {
    let (folder, gambella) = country();
    let gambella = gambella.to_str().expect("a plain path");
    for (name, begins) in
        [("a.xlsx", "PK"), ("a.csv", "\u{feff}Table,"), ("a.html", "<!doctype html>"), ("a.md", "# Mapping sheet: gambella")]
    {
        let told = told(&["mapping", "sheet", gambella, "--output", name], folder.path());
        assert_eq!(told, (String::new(), 0), "{name}");
        let bytes = fs::read(folder.path().join(name)).expect("the file was written");
        assert!(bytes.starts_with(begins.as_bytes()), "{name}");
    }
    let mut workbook: Xlsx<_> = open_workbook(folder.path().join("a.xlsx")).expect("another library can open it");
    assert_eq!(workbook.sheet_names()[..2], ["Cover", "New case in Primero"]);
    let cover = workbook.worksheet_range("Cover").expect("the tab can be read");
    assert_eq!(cover.get_value((0, 0)).map(ToString::to_string).as_deref(), Some("Mapping sheet: gambella"));
    let output = referrald(&["mapping", "sheet", gambella, "--format", "xlsx"], folder.path());
    assert_eq!(output.stdout, fs::read(folder.path().join("a.xlsx")).expect("the file was written"), "the same to a pipe");
}

#[test]
fn a_sheet_of_a_mapping_with_mistakes_is_not_written() {
    let (folder, gambella) = country();
    fs::write(gambella.join("tables/sex-in.csv"), "nothing\n").expect("the table can be written");
    let gambella = gambella.to_str().expect("a plain path");
    let (said, exit) = told(&["mapping", "sheet", gambella, "--output", "a.xlsx"], folder.path());
    assert!(exit == 78 && said.contains("table `sex-in` has no column"), "{exit}: {said}");
    assert!(!folder.path().join("a.xlsx").exists());
}

#[test]
fn two_directories_are_compared() {
    let ((old_folder, old), (_new_folder, new)) = (country(), country());
    let paths = [&old, &new].map(|path| path.to_str().expect("a plain path"));
    let (said, exit) = told(&["mapping", "diff", paths[0], paths[1]], old_folder.path());
    assert!(exit == 0 && said.contains("\nNothing is different: both have the same digest.\n"), "{exit}: {said}");
    teach_a_sex(&new);
    let (said, exit) = told(&["mapping", "diff", paths[0], paths[1]], old_folder.path());
    assert!(exit == 0 && said.contains(IN_WORDS), "{exit}: {said}");
}

#[test]
fn revisions_are_compared_with_a_directory_and_with_each_other() {
    let (folder, gambella) = country();
    let path = gambella.to_str().expect("a plain path");
    git(folder.path(), &["init", "--quiet"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "-m", "what was signed"]);
    teach_a_sex(&gambella);
    // The directory of the other side, wherever one stands.
    let (said, exit) = told(&["mapping", "diff", "HEAD", path], Path::new("/"));
    assert!(exit == 0 && said.contains(IN_WORDS) && said.starts_with("# Changes of the mapping: gambella\n"), "{exit}: {said}");
    git(folder.path(), &["commit", "--quiet", "-am", "a sex more"]);
    let ways: [(&[&str], &Path); 3] = [
        (&["HEAD~1", "HEAD"], &gambella),
        (&["HEAD~1", "HEAD", "--mapping", "site/mappings/gambella"], folder.path()),
        (&["HEAD~1:site/mappings/gambella", "HEAD:site/mappings/gambella"], folder.path()),
    ];
    for (arguments, from) in ways {
        let (said, exit) = told(&[&["mapping", "diff"], arguments].concat(), from);
        assert!(exit == 0 && said.contains(IN_WORDS), "{arguments:?} {exit}: {said}");
    }
}

#[test]
fn what_is_neither_directory_nor_revision_is_told_with_the_remedy() {
    let (folder, gambella) = country();
    let path = gambella.to_str().expect("a plain path");
    let (said, exit) = told(&["mapping", "diff", "nowhere", path], folder.path());
    assert!(exit == 2 && said.contains("`nowhere` is neither a directory nor a revision of git here (hint: "), "{exit}: {said}");
    git(folder.path(), &["init", "--quiet"]);
    git(folder.path(), &["commit", "--quiet", "--allow-empty", "-m", "nothing yet"]);
    for revision in ["--output=x", "HEAD~7", "", ":", "HEAD:../.."] {
        let (said, exit) = told(&["mapping", "diff", "--", revision, path], folder.path());
        assert!(exit == 2 && said.contains("neither a directory nor a revision"), "{revision:?} {exit}: {said}");
    }
    let (said, exit) = told(&["mapping", "diff", "HEAD", path], folder.path());
    assert!(exit == 78 && said.contains("HEAD has no mapping in `site/mappings/gambella` (hint: "), "{exit}: {said}");
}
