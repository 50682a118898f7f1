use super::*;
use crate::KeyFile;
use argon2::{Algorithm, Argon2, Version};
use sallyport_model::Secret;

fn create(env: &Env, cluster: ClusterId, new: &NewSlot<'_>, root: &Key) -> Result<(SlotBody, Vec<Share>), VaultError> {
    let prepared = PreparedSlot::new(env, cluster, new)?;
    Ok((prepared.under(root, 1)?, prepared.shares))
}

fn root(env: &Env) -> Key {
    crypto::fresh_key(env)
}

fn passphrase(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[test]
fn argon2id_matches_rfc_9106() {
    // RFC 9106, section 5.3, through the same crate; secret and associated data are not used by slots.
    let params = argon2::ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
        .build()
        .unwrap();
    let mut out = [0; 32];
    Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
        .unwrap()
        .hash_password_into(&[1; 32], &[2; 16], &mut out)
        .unwrap();
    let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    assert_eq!(data_encoding::HEXLOWER.encode(&out), expected);
}

#[test]
fn key_file_slots_open_with_their_key_alone() {
    let env = Env::system();
    let (cluster, root) = (ClusterId::new(&env), root(&env));
    let (key, other) = (KeyFile::generate(&env), KeyFile::generate(&env));
    let new = NewSlot { label: "host", offline: false, opener: Opener::KeyFile(&key) };
    let slot = create(&env, cluster, &new, &root).ok().unwrap().0;
    let opened = slot.open(&Unlock::KeyFile(&key)).ok().flatten().unwrap();
    assert_eq!(opened.expose(), root.expose());
    assert!(slot.open(&Unlock::KeyFile(&other)).ok().unwrap().is_none());
    assert!(slot.open(&Unlock::Passphrase(&passphrase("correct horse battery"))).ok().unwrap().is_none());
}

#[test]
fn passphrase_slots_open_with_their_passphrase_alone() {
    let env = Env::system();
    let (cluster, root) = (ClusterId::new(&env), root(&env));
    let right = passphrase("correct horse battery");
    let new = NewSlot { label: "paper", offline: true, opener: Opener::Passphrase(&right, Argon::cheapest()) };
    let slot = create(&env, cluster, &new, &root).ok().unwrap().0;
    let opened = slot.open(&Unlock::Passphrase(&right)).ok().flatten().unwrap();
    assert_eq!(opened.expose(), root.expose());
    assert!(slot.open(&Unlock::Passphrase(&passphrase("correct horse batterz"))).ok().unwrap().is_none());

    let short = passphrase("eleven char");
    let new = NewSlot { label: "paper", offline: true, opener: Opener::Passphrase(&short, Argon::cheapest()) };
    assert!(matches!(create(&env, cluster, &new, &root), Err(VaultError::Refused(_))));
}

#[test]
fn inflated_and_lowered_costs_are_refused_before_they_cost() {
    let env = Env::system();
    let right = passphrase("correct horse battery");
    let new = NewSlot { label: "paper", offline: true, opener: Opener::Passphrase(&right, Argon::cheapest()) };
    let slot = create(&env, ClusterId::new(&env), &new, &root(&env)).ok().unwrap().0;
    let text = serde_json::to_string(&slot).unwrap();
    let written = r#""m_kib":8192,"t":1,"p":1"#;
    assert!(text.contains(written));
    for changed in [
        r#""m_kib":67108864,"t":1,"p":1"#,
        r#""m_kib":8191,"t":1,"p":1"#,
        r#""m_kib":0,"t":1,"p":1"#,
        r#""m_kib":8192,"t":4000000000,"p":1"#,
        r#""m_kib":8192,"t":0,"p":1"#,
        r#""m_kib":8192,"t":1,"p":17"#,
        r#""m_kib":8192,"t":1,"p":0"#,
    ] {
        let slot: SlotBody = serde_json::from_str(&text.replace(written, changed)).unwrap();
        assert!(matches!(slot.open(&Unlock::Passphrase(&right)), Err(VaultError::Refused(_))), "{changed}");
    }
    // Within the bounds another cost is simply another key.
    let slot: SlotBody = serde_json::from_str(&text.replace(written, r#""m_kib":8192,"t":2,"p":1"#)).unwrap();
    assert!(slot.open(&Unlock::Passphrase(&right)).ok().unwrap().is_none());
    assert!(Argon::new(4096, 3, 4).is_err());
    assert!(Argon::new(64 * 1024, 3, 4).is_ok());
}

#[test]
fn every_flipped_bit_of_a_slot_is_found() {
    let env = Env::system();
    let key = KeyFile::generate(&env);
    let root = root(&env);
    let new = NewSlot { label: "", offline: false, opener: Opener::KeyFile(&key) };
    let slot = create(&env, ClusterId::new(&env), &new, &root).ok().unwrap().0;
    let text = serde_json::to_vec(&slot).unwrap();
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(altered) = serde_json::from_slice::<SlotBody>(&bytes) else { continue };
        let opened = altered.open(&Unlock::KeyFile(&key));
        assert!(!matches!(opened, Ok(Some(_))), "bit {bit}");
    }
}

#[test]
fn unknown_fields_are_kept_and_covered() {
    let env = Env::system();
    let (key, root) = (KeyFile::generate(&env), root(&env));
    let new = NewSlot { label: "host", offline: false, opener: Opener::KeyFile(&key) };
    let mut slot = create(&env, ClusterId::new(&env), &new, &root).ok().unwrap().0;
    slot.rest.insert("newer".into(), 7.into());
    let text = serde_json::to_string(&slot.signed(&root).unwrap()).unwrap();
    let slot: SlotBody = serde_json::from_str(&text).unwrap();
    assert!(serde_json::to_string(&slot).unwrap().contains(r#""newer":7"#));
    assert!(slot.open(&Unlock::KeyFile(&key)).ok().flatten().is_some());
    let slot: SlotBody = serde_json::from_str(&text.replace(r#""newer":7"#, r#""newer":8"#)).unwrap();
    assert!(!matches!(slot.open(&Unlock::KeyFile(&key)), Ok(Some(_))));
}

#[test]
fn a_slot_that_was_altered_in_any_field_is_not_authentic() {
    let env = Env::system();
    let (key, root) = (KeyFile::generate(&env), root(&env));
    let new = NewSlot { label: "host", offline: false, opener: Opener::KeyFile(&key) };
    let slot = create(&env, ClusterId::new(&env), &new, &root).ok().unwrap().0;
    assert!(slot.is_authentic(&root).unwrap());
    assert!(!slot.is_authentic(&crypto::fresh_key(&env)).unwrap());
    for altered in [
        SlotBody { label: "hosu".into(), ..slot.clone() },
        SlotBody { offline: true, ..slot.clone() },
        SlotBody { root: None, ..slot.clone() },
        SlotBody { public: Base64(vec![9; 32]), ..slot.clone() },
        SlotBody { id: SlotId::new(&env), ..slot.clone() },
        SlotBody { root_version: 2, ..slot.clone() },
    ] {
        assert!(!altered.is_authentic(&root).unwrap());
        assert!(!matches!(altered.open(&Unlock::KeyFile(&key)), Ok(Some(_))));
    }
}

#[test]
fn a_label_is_one_short_line() {
    let env = Env::system();
    let (key, root) = (KeyFile::generate(&env), root(&env));
    for label in ["two\nlines".to_owned(), "x".repeat(81)] {
        let new = NewSlot { label: &label, offline: false, opener: Opener::KeyFile(&key) };
        assert!(matches!(create(&env, ClusterId::new(&env), &new, &root), Err(VaultError::Refused(_))));
    }
}

/// A slot with shares, its root key, and the shares.
fn shared(k: u8, n: u8) -> (SlotBody, Key, Vec<Share>) {
    let env = Env::system();
    let root = root(&env);
    let new = NewSlot { label: "board", offline: true, opener: Opener::Shamir { k, n } };
    let (slot, shares) = create(&env, ClusterId::new(&env), &new, &root).ok().unwrap();
    (slot, root, shares)
}

fn again(share: &Share) -> Share {
    Share::parse(&share.encode()).unwrap()
}

fn quorum(slot: &SlotBody, shares: &[&Share]) -> Quorum {
    let mut quorum = Quorum::default();
    shares.iter().for_each(|share| quorum.add(slot, again(share)).unwrap());
    quorum
}

#[test]
fn shares_open_nothing_before_a_quorum_was_tried_and_the_vault_with_any_quorum_after() {
    let (slot, root, shares) = shared(2, 3);
    assert!(!slot.confirmed() && slot.rule() == Some((2, 3)) && shares.len() == 3);
    let two = quorum(&slot, &[&shares[2], &shares[0]]);
    assert!(slot.open(&Unlock::Shares(&two)).ok().unwrap().is_none(), "no root key is sealed to it yet");
    let confirmed = slot.clone().confirmed_by(&two, &root, 1).unwrap();
    assert!(confirmed.is_authentic(&root).unwrap());
    for pair in [[0, 1], [1, 0], [0, 2], [1, 2]] {
        let two = quorum(&confirmed, &pair.map(|at| &shares[at]));
        assert_eq!(confirmed.open(&Unlock::Shares(&two)).ok().flatten().unwrap().expose(), root.expose());
    }
    let one = quorum(&confirmed, &[&shares[1]]);
    assert!(confirmed.open(&Unlock::Shares(&one)).ok().unwrap().is_none());
    assert_eq!(slot.confirmed_by(&one, &root, 1).err(), Some(VaultError::NoQuorum));
}

#[test]
fn a_bad_share_is_named_at_once_and_the_good_ones_stay() {
    let (slot, _, shares) = shared(3, 5);
    let (other, _, strangers) = shared(3, 5);
    let mut gathered = quorum(&slot, &[&shares[0]]);
    let mut refused = |share: Share| gathered.add(&slot, share).err().unwrap();
    assert_eq!(refused(again(&shares[0])), VaultError::DuplicateShare(1));
    assert_eq!(refused(again(&strangers[1])), VaultError::ForeignCluster { what: "share" });
    // Another set of the same installation.
    let value = || Secret::new(*shares[1].value().expose());
    assert_eq!(refused(Share::new(slot.cluster, other.id, (3, 5), 2, value())), VaultError::ForeignShare);
    // The right paper with another value, another number or another rule.
    let wrong = Share::new(slot.cluster, slot.id, (3, 5), 2, Secret::new([7; 32]));
    assert_eq!(refused(wrong), VaultError::WrongShare(2));
    assert_eq!(refused(Share::new(slot.cluster, slot.id, (3, 5), 3, value())), VaultError::WrongShare(3));
    assert_eq!(refused(Share::new(slot.cluster, slot.id, (2, 5), 2, value())), VaultError::WrongShare(2));
    assert_eq!(gathered.have(), 1);
    gathered.add(&slot, again(&shares[4])).unwrap();
    assert_eq!(gathered.have(), 2);
}

#[test]
fn every_flipped_bit_of_a_slot_with_shares_is_found() {
    let (slot, root, shares) = shared(2, 2);
    let pair = quorum(&slot, &[&shares[0], &shares[1]]);
    let slot = slot.confirmed_by(&pair, &root, 1).unwrap();
    let text = serde_json::to_vec(&slot).unwrap();
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(altered) = serde_json::from_slice::<SlotBody>(&bytes) else { continue };
        assert!(!matches!(altered.open(&Unlock::Shares(&pair)), Ok(Some(_))), "bit {bit}");
        assert!(!altered.is_authentic(&root).unwrap(), "bit {bit}");
    }
}

#[test]
fn a_token_slot_opens_with_what_its_token_unwraps_alone() {
    let env = Env::system();
    let root = root(&env);
    let secret = Secret::new(vec![5; 32]);
    let place = TokenPlace { token: "house".into(), key: "seal".into(), mechanism: "rsa-oaep-sha256".into() };
    let opener = Opener::Token { secret: &secret, wrapped: b"wrapped", place: place.clone() };
    let new = NewSlot { label: "hsm", offline: false, opener };
    let slot = create(&env, ClusterId::new(&env), &new, &root).ok().unwrap().0;
    assert_eq!(slot.token(), Some((&place, b"wrapped".as_slice())));
    assert!(slot.open(&Unlock::Token(slot.id, &secret)).ok().flatten().is_some());
    assert!(slot.open(&Unlock::Token(slot.id, &Secret::new(vec![6; 32]))).ok().unwrap().is_none());
    assert!(slot.open(&Unlock::Token(SlotId::new(&env), &secret)).ok().unwrap().is_none());
    let short = Opener::Token { secret: &Secret::new(vec![5; 31]), wrapped: b"w", place };
    let new = NewSlot { label: "hsm", offline: false, opener: short };
    assert!(create(&env, ClusterId::new(&env), &new, &root).is_err());
}

/// Every field of every slot is put into every other slot, as a database writer would.
#[test]
fn no_part_of_a_slot_can_move_to_another() {
    let env = Env::system();
    let (cluster, root) = (ClusterId::new(&env), root(&env));
    let (key, secret) = (KeyFile::generate(&env), Secret::new(vec![5; 32]));
    let right = passphrase("correct horse battery");
    let place = TokenPlace { token: "house".into(), key: "seal".into(), mechanism: "aes-gcm".into() };
    let make = |opener| create(&env, cluster, &NewSlot { label: "one", offline: true, opener }, &root).ok().unwrap();
    let (board, shares) = make(Opener::Shamir { k: 2, n: 2 });
    let pair = quorum(&board, &[&shares[0], &shares[1]]);
    let slots = [
        make(Opener::KeyFile(&key)).0,
        make(Opener::KeyFile(&key)).0,
        make(Opener::Passphrase(&right, Argon::cheapest())).0,
        board.confirmed_by(&pair, &root, 1).unwrap(),
        make(Opener::Token { secret: &secret, wrapped: b"wrapped", place }).0,
    ];
    let fields = |slot: &SlotBody| serde_json::to_value(slot).unwrap().as_object().unwrap().clone();
    let mut moved = 0;
    for (to, from) in slots.iter().flat_map(|to| slots.iter().map(move |from| (to, from))) {
        for (name, value) in fields(from) {
            let mut body = fields(to);
            if body.insert(name.clone(), value.clone()) == Some(value) {
                continue;
            }
            let Ok(altered) = serde_json::from_value::<SlotBody>(body.into()) else { continue };
            let of_token = Unlock::Token(altered.id, &secret);
            for unlock in [Unlock::KeyFile(&key), Unlock::Passphrase(&right), Unlock::Shares(&pair), of_token] {
                assert!(!matches!(altered.open(&unlock), Ok(Some(_))), "{name}");
            }
            assert!(!altered.is_authentic(&root).unwrap(), "{name}");
            moved += 1;
        }
    }
    assert!(moved > 100, "{moved}");
}
