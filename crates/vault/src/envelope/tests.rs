use super::*;
use crate::keyring::KeyringBody;
use proptest::prelude::*;
use sallyport_model::Secret;

struct Fixture {
    env: Env,
    cluster: ClusterId,
    root: Key,
    body: KeyringBody,
}

impl Fixture {
    fn new() -> Self {
        let env = Env::system();
        let cluster = ClusterId::new(&env);
        let root = crypto::fresh_key(&env);
        let mut body = KeyringBody::create(&env, cluster, &root).unwrap();
        for name in ["secrets/prod", "secrets/test"] {
            body = body.with_domain(&env, &root, name).unwrap();
        }
        Self { env, cluster, root, body }
    }

    fn ring(&self) -> Ring {
        self.body.open(self.cluster, &self.root).ok().unwrap()
    }

    fn place(&self) -> Where {
        let environment = "prod".parse().unwrap();
        Where { environment, secret: SecretId::new(&self.env), version: 1, kind: SecretKind::Password }
    }
}

fn value() -> SecretBytes {
    Secret::new(b"correct horse battery staple".to_vec())
}

#[test]
fn round_trip_through_json() {
    let f = Fixture::new();
    let place = f.place();
    let body = seal(&f.env, f.cluster, &f.ring(), &place, &value()).unwrap();
    let body: VersionBody = serde_json::from_str(&serde_json::to_string(&body).unwrap()).unwrap();
    assert_eq!(open(f.cluster, &f.ring(), &place, &body).ok().unwrap().expose(), value().expose());
}

#[test]
fn no_domain_no_seal() {
    let f = Fixture::new();
    let place = Where { environment: "stage".parse().unwrap(), ..f.place() };
    let refused = seal(&f.env, f.cluster, &f.ring(), &place, &value()).err();
    assert_eq!(refused, Some(VaultError::NoDomain("stage".into())));
    let empty = seal(&f.env, f.cluster, &f.ring(), &f.place(), &Secret::new(Vec::new())).err();
    assert!(matches!(empty, Some(VaultError::Refused(_))));
    let long = seal(&f.env, f.cluster, &f.ring(), &f.place(), &Secret::new(vec![1; MAX_SECRET + 1])).err();
    assert!(matches!(long, Some(VaultError::Refused(_))));
}

/// Every envelope is opened in every place of the matrix: only its own opens it. The sealed bytes are moved as a database
/// writer would, with the open fields rewritten to fit the new place, and left as they were; with the same keys in another
/// cluster; and as another field. Gives how often something was moved.
fn move_all(secrets: usize, versions: u64) -> u64 {
    let f = Fixture::new();
    let other_cluster = ClusterId::new(&f.env);
    let ids: Vec<_> = (0..secrets).map(|_| SecretId::new(&f.env)).collect();
    let mut places = Vec::new();
    for environment in ["prod", "test"] {
        for secret in &ids {
            for version in 1..=versions {
                for kind in [SecretKind::Password, SecretKind::SshEd25519] {
                    places.push(Where { environment: environment.parse().unwrap(), secret: *secret, version, kind });
                }
            }
        }
    }
    let ring = f.ring();
    let bodies: Vec<_> = places.iter().map(|p| seal(&f.env, f.cluster, &ring, p, &value()).unwrap()).collect();
    let mut moved_in_all = 0;
    for (from, body) in bodies.iter().enumerate() {
        for (to, place) in places.iter().enumerate() {
            let moved = VersionBody {
                environment: place.environment.clone(),
                secret: place.secret,
                version: place.version,
                kind: place.kind,
                ..body.clone()
            };
            assert_eq!(open(f.cluster, &ring, place, &moved).is_ok(), from == to, "{from} -> {to}");
            assert_eq!(open(f.cluster, &ring, place, body).is_ok(), from == to, "{from} -> {to}, as it was");
            assert!(open(other_cluster, &ring, place, &moved).is_err(), "another cluster with the same keys");
            assert!(open_field(f.cluster, &ring, place, "comment", &body.sealed.0).is_err(), "another field");
            moved_in_all += if from == to { 2 } else { 4 };
        }
    }
    moved_in_all
}

#[test]
fn envelopes_cannot_move() {
    assert_eq!(move_all(2, 2), 16 * 15 * 4 + 16 * 2);
}

/// The same over 100,000 times, and every bit of many envelopes. Its last line is read by `cargo xtask torture`.
#[test]
#[ignore = "takes minutes: `cargo xtask torture --only mobility`"]
fn mobility_at_full_size() {
    let moved = move_all(14, 3);
    assert!(moved > 100_000);
    let mut bits = 0;
    for _ in 0..100 {
        bits += flip_all();
    }
    println!("mobility {{\"swaps_refused\":{moved},\"altered_bits_refused\":{bits},\"accepted\":0}}");
}

#[test]
fn a_renamed_domain_or_epoch_in_the_header_is_refused() {
    let f = Fixture::new();
    let (ring, place) = (f.ring(), f.place());
    let body = seal(&f.env, f.cluster, &ring, &place, &value()).unwrap();
    let mut bytes = body.sealed.0.clone();
    bytes[8..20].copy_from_slice(b"secrets/test");
    let moved = Where { environment: "test".parse().unwrap(), ..place.clone() };
    assert!(open_field(f.cluster, &ring, &moved, FIELD, &bytes).is_err());
    let mut bytes = body.sealed.0.clone();
    bytes[23] = 2;
    assert!(open_field(f.cluster, &ring, &place, FIELD, &bytes).is_err());
}

/// Alters one envelope in every bit and at every length; how many bits there were.
fn flip_all() -> usize {
    let f = Fixture::new();
    let (ring, place) = (f.ring(), f.place());
    let body = seal(&f.env, f.cluster, &ring, &place, &value()).unwrap();
    for bit in 0..body.sealed.0.len() * 8 {
        let mut bytes = body.sealed.0.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(open_field(f.cluster, &ring, &place, FIELD, &bytes).is_err(), "bit {bit}");
    }
    for length in 0..body.sealed.0.len() {
        assert!(open_field(f.cluster, &ring, &place, FIELD, &body.sealed.0[..length]).is_err(), "cut at {length}");
    }
    let mut longer = body.sealed.0.clone();
    longer.push(0);
    assert!(open_field(f.cluster, &ring, &place, FIELD, &longer).is_err());

    let text = serde_json::to_vec(&body).unwrap();
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(altered) = serde_json::from_slice::<VersionBody>(&bytes) {
            assert!(open(f.cluster, &ring, &place, &altered).is_err(), "bit {bit} of the document");
        }
    }
    (body.sealed.0.len() + text.len()) * 8
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    assert!(flip_all() > 1000);
}

#[test]
fn two_seals_share_nothing() {
    let f = Fixture::new();
    let (ring, place) = (f.ring(), f.place());
    let a = seal(&f.env, f.cluster, &ring, &place, &value()).unwrap().sealed.0;
    let b = seal(&f.env, f.cluster, &ring, &place, &value()).unwrap().sealed.0;
    let (a, b) = (Header::parse(&a).unwrap(), Header::parse(&b).unwrap());
    assert!(a.wrapped != b.wrapped && a.nonce != b.nonce && a.commitment != b.commitment);
    assert_ne!(a.ciphertext, b.ciphertext);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_value_comes_back(bytes in proptest::collection::vec(any::<u8>(), 1..300)) {
        let f = Fixture::new();
        let place = f.place();
        let body = seal(&f.env, f.cluster, &f.ring(), &place, &Secret::new(bytes.clone())).unwrap();
        let opened = open(f.cluster, &f.ring(), &place, &body).ok().unwrap();
        prop_assert_eq!(opened.expose(), &bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Header::parse(&bytes);
        let mut framed = b"SPV1\x02\x01\x00\x0csecrets/prod\x00\x00\x00\x01".to_vec();
        framed.extend(bytes);
        let f = Fixture::new();
        prop_assert!(open_field(f.cluster, &f.ring(), &f.place(), FIELD, &framed).is_err());
    }
}

/// What was carried into a new epoch is bound as it was before, and to that epoch.
#[test]
fn envelopes_of_a_new_epoch_cannot_move_either() {
    let f = Fixture::new();
    let names = ["secrets/prod".to_owned(), "secrets/test".to_owned()];
    let pending = f.body.with_pending(&f.env, &f.root, &names).unwrap().unwrap();
    let ring = pending.with_active(&f.root).unwrap().unwrap().open(f.cluster, &f.root).ok().unwrap();
    let ids = [SecretId::new(&f.env), SecretId::new(&f.env)];
    let mut places = Vec::new();
    for environment in ["prod", "test"] {
        for secret in ids {
            for version in [1, 2] {
                let environment = environment.parse().unwrap();
                places.push(Where { environment, secret, version, kind: SecretKind::Password });
            }
        }
    }
    let carry = |place: &Where| {
        let old = seal(&f.env, f.cluster, &f.ring(), place, &value()).unwrap();
        rewrap(&f.env, f.cluster, &ring, &old).unwrap().unwrap()
    };
    let bodies: Vec<_> = places.iter().map(carry).collect();
    for (from, body) in bodies.iter().enumerate() {
        assert_eq!(body.epoch(), Some(2));
        assert!(rewrap(&f.env, f.cluster, &ring, body).unwrap().is_none(), "it is there already");
        assert!(open(f.cluster, &f.ring(), &places[from], body).is_err(), "the keyring of before has no such epoch");
        for (to, place) in places.iter().enumerate() {
            let (environment, secret) = (place.environment.clone(), place.secret);
            let moved = VersionBody { environment, secret, version: place.version, ..body.clone() };
            assert_eq!(open(f.cluster, &ring, place, &moved).is_ok(), from == to, "{from} -> {to}");
        }
    }
    let body = &bodies[0];
    for bit in 0..body.sealed.0.len() * 8 {
        let mut bytes = body.sealed.0.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(open_field(f.cluster, &ring, &places[0], FIELD, &bytes).is_err(), "bit {bit}");
    }
}
