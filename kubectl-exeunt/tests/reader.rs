//! The reader of YAML: every node at its exact place, in whatever style it is written; what cannot be read is one line.

use kubectl_exeunt::yaml::{File, Kind, Limits, Place, Shape, Style};

fn read(text: &str) -> File {
    File::read("test.yaml", text.as_bytes().to_vec()).unwrap_or_else(|refusal| panic!("{refusal}\n{text}"))
}

fn refused(text: &str) -> String {
    match File::read("test.yaml", text.as_bytes().to_vec()) {
        Ok(_) => panic!("{text:?} was read"),
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn a_node_is_where_it_stands_and_ends_where_it_ends() {
    let text = "# ü\na:\n  - x: 1  # one\n    y: |\n      text\n      more\n\n  # about the next\n  - z:\nb: 'q'\n";
    let file = read(text);
    let root = file.documents().next().and_then(|document| document.root()).unwrap();
    let list = root.get("a").unwrap();
    assert_eq!((list.style(), list.shape(), list.items().len()), (Style::Block, Shape::Seq, 2));
    let mut items = list.items();
    let (first, second) = (items.next().unwrap(), items.next().unwrap());
    assert_eq!(first.source(), "x: 1  # one\n    y: |\n      text\n      more");
    assert_eq!(first.get("y").and_then(|node| node.text()), Some("text\nmore\n"));
    assert_eq!(first.place(), Place { line: 3, column: 5 });
    // The nothing after "z:" is behind its colon, not in the next line.
    assert_eq!(second.source(), "z:");
    assert!(second.get("z").unwrap().is_null());
    assert_eq!(root.get("b").map(|node| (node.source(), node.str())), Some(("'q'", Some("q"))));
    let comments: Vec<_> = file.comments().map(|comment| (comment.text, comment.place.line)).collect();
    assert_eq!(comments, [(" ü", 1), (" one", 3), (" about the next", 8)]);
}

#[test]
fn the_same_in_other_clothes() {
    for text in [
        "\u{feff}{\"a\": [{\"n\": \"\\u00e9\\/\\ud83d\\ude00\", \"i\": 8080}], \"b\": true}",
        "---\n{\n  a: [{\n    n: \"é/😀\",\n    i: 8080,\n  }],\n  b: true,\n}\n",
        "a:\r\n- n: é/😀\r\n  i: 0o17620\r\nb: yes\r\n",
        "x: &x\n  i: 8080\n  n: wrong\na: [{<<: *x, n: é/😀}]\nb: on\n",
    ] {
        let file = read(text);
        let root = file.documents().next().and_then(|document| document.root()).unwrap();
        let item = root.get("a").and_then(|list| list.items().next()).unwrap();
        assert_eq!(item.get("n").and_then(|node| node.str()), Some("é/😀"), "{text:?}");
        assert_eq!(item.get("i").and_then(|node| node.int()), Some(8080), "{text:?}");
        assert_eq!(root.get("b").and_then(|node| node.bool()), Some(true), "{text:?}");
    }
    assert_eq!(read("a: 08").documents().next().unwrap().root().unwrap().get("a").unwrap().kind(), Some(Kind::Int(8)));
}

#[test]
fn columns_are_characters_and_every_line_end_counts() {
    let file = read("\u{feff}é: ü\r\nk: v\n");
    let root = file.documents().next().and_then(|document| document.root()).unwrap();
    assert_eq!(root.place(), Place { line: 1, column: 1 });
    assert_eq!(root.get("é").unwrap().place(), Place { line: 1, column: 4 });
    assert_eq!(root.get("k").unwrap().place(), Place { line: 2, column: 4 });
    assert_eq!((file.line(1), file.line(2)), ("é: ü", "k: v"));
}

#[test]
fn documents_duplicates_and_templates_are_known() {
    let file = read("a: 1\n---\n# nothing\n---\na: 1\na: 2\nb: {{ .Values.x }}\n");
    let roots: Vec<_> = file.documents().map(|document| document.root()).collect();
    assert_eq!(roots.len(), 3);
    let last = roots[2].unwrap();
    assert_eq!(last.duplicates().iter().map(|key| key.place().line).collect::<Vec<_>>(), [6]);
    assert_eq!(last.get("a").and_then(|node| node.int()), Some(2));
    assert!(last.get("b").unwrap().is_template());
    assert_eq!(file.template(), Some(Place { line: 7, column: 4 }));
}

#[test]
fn what_cannot_be_read_is_one_line() {
    let deep = "[".repeat(10_000);
    let blocks = "- ".repeat(10_000);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{list}]\n");
    }
    for (text, wanted) in [
        ("a: [1", "test.yaml:1:"),
        ("a: 1\n b: 2\n", "test.yaml:2:"),
        ("{{- if .Values.x }}\nkind: Job\n{{- end }}\n", "test.yaml:1:1: error: a template"),
        (deep.as_str(), "test.yaml:1:201:"),
        (blocks.as_str(), "test.yaml:1:"),
        (bomb.as_str(), "aliases"),
    ] {
        let line = refused(text);
        assert!(line.contains(wanted) && !line.contains('\n'), "{line}");
    }
    let binary = File::read("test.yaml", b"a: 1\nb: \xff".to_vec()).unwrap_err().to_string();
    assert!(binary.starts_with("test.yaml:2:4: error: it is not UTF-8"), "{binary}");
    let few = Limits { nodes: 10, ..Limits::default() };
    let many = File::read_within("test.yaml", "- a\n".repeat(20).into_bytes(), few).unwrap_err().to_string();
    assert!(many.contains("more than 10 nodes"), "{many}");
    assert_eq!(refused("a: *nobody").lines().count(), 1);
}
