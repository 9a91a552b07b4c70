//! Every command that a document names is one that there is, with every option: a tired operator copies what stands there.

use std::{fs, path::Path};

use clap::CommandFactory;
use referrald::command::Arguments;

/// Every text under a directory that ends in `.md`, and every maintainer's script.
fn documents(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("the directory can be read").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            documents(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&entry).expect("the document can be read");
            found.push((entry.display().to_string(), text));
        }
    }
}

/// What stands after `referrald` in code, up to the end of the command.
fn commands(text: &str) -> Vec<Vec<&str>> {
    let mut in_block = false;
    let mut code = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            code.push(line);
        } else {
            code.extend(line.split('`').skip(1).step_by(2));
        }
    }
    let named = code.into_iter().filter_map(|code| {
        let command = code.trim_start().strip_prefix("referrald ").or_else(|| code.split(" referrald ").nth(1))?;
        let words = command.split_whitespace().take_while(|word| !matches!(*word, "#" | "|" | "||" | "&&" | "\\"));
        Some(words.map(|word| word.trim_end_matches(';')).collect())
    });
    named.collect()
}

/// What is wrong with a command, if anything.
fn wrong(words: &[&str]) -> Option<String> {
    let arguments = Arguments::command();
    let mut command = &arguments;
    let mut words = words.iter().peekable();
    while let Some(next) = words.peek().and_then(|word| command.find_subcommand(word)) {
        command = next;
        words.next();
    }
    if command.is_subcommand_required_set() || std::ptr::eq(command, &raw const arguments) {
        let word = words.peek()?;
        // A row of alternatives, a placeholder, an option of the whole.
        let is_a_word = word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-') && !word.starts_with('-');
        return is_a_word.then(|| format!("there is no `{word}`"));
    }
    let options = words.filter_map(|word| word.trim_start_matches('[').strip_prefix("--"));
    for option in options.map(|option| option.split(['=', ']']).next().unwrap_or_default()) {
        let is_there = command.get_arguments().chain(arguments.get_arguments()).any(|known| known.get_long() == Some(option));
        if !is_there && !["help", "version"].contains(&option) {
            return Some(format!("`{}` has no --{option}", command.get_name()));
        }
    }
    None
}

#[test]
fn every_command_in_a_document_is_one_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![("README.md".to_owned(), fs::read_to_string(root.join("README.md")).expect("there is a README"))];
    documents(&root.join("docs"), &mut found);
    documents(&root.join("deploy"), &mut found);
    let mut looked = 0;
    let mut faults = Vec::new();
    for (path, text) in &found {
        for command in commands(text) {
            looked += 1;
            faults.extend(wrong(&command).map(|why| format!("{path}: referrald {}: {why}", command.join(" "))));
        }
    }
    assert!(looked > 60, "the reading of the documents has gone blind: {looked}");
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_command_that_there_is_not_is_found() {
    for (command, fault) in [
        ("deliveries list --all", None),
        ("deliveries list --nothing", Some("`list` has no --nothing")),
        ("deliveries lists", Some("there is no `lists`")),
        ("dance", Some("there is no `dance`")),
    ] {
        assert_eq!(wrong(&command.split(' ').collect::<Vec<_>>()).as_deref(), fault, "{command}");
    }
    assert_eq!(
        commands("a `referrald key new`, b\n```sh\nx=1 referrald run --config F | cat\n```\n"),
        [vec!["key", "new"], vec!["run", "--config", "F"]]
    );
}
