"""Settings are safe where nothing is set, come from file and environment alike, and name every fault by its key."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from zweitblick.access.principal import Role
from zweitblick.access.tokens import ClaimRules
from zweitblick.access_settings import AccessSettings, ProviderSettings
from zweitblick.delivery.route import Route
from zweitblick.delivery.seal import Form, Seal, SigningFiles
from zweitblick.errors import SettingsError
from zweitblick.key_settings import KeySettings
from zweitblick.peers.destination import FolderDestination, StoreDestination, StowDestination, Trust
from zweitblick.receipt_settings import ReceiptSettings
from zweitblick.settings import AuditSettings, DicomSettings, HttpSettings, Settings, load_settings
from zweitblick.study import Priority
from zweitblick.vault.keyholders.places import TokenPlace
from zweitblick.vault.pool import PoolLimits

HOME = {"HOME": "/home/somebody"}
SIZES = {
    "maximum_associations": 8,
    "maximum_pdu_bytes": 2**16,
    "maximum_instance_bytes": 5 * 10**8,
    "maximum_held_bytes": 10**9,
}
LIMITS = SIZES | {"acse_timeout_s": 15.0, "network_timeout_s": 7.5}

FILE = """
data = "/srv/zweitblick"
key_file = "/etc/zweitblick/key"
models = "/opt/models"
trusted_keys = ["/etc/zweitblick/hospital.pub", "/etc/zweitblick/other.pub"]
allow_unsigned_models = true
quiet_time_s = 45
log_format = "json"
otlp_endpoint = "http://127.0.0.1:4318"
quiet_times_s = { SCANNER = 60, "PACS 1" = 0.5 }
priorities = { ER_SCANNER = "stat", RESEARCH = "LOW" }
largest_study_bytes = 8000000000
database = "postgresql://reader@db/studies?passfile=/secret/pgpass"
keys_database = "postgresql+psycopg://reader@db/keys?passfile=/secret/pgpass"

[dicom]
host = "10.0.0.5"
port = 104
ae_title = "ZWEITBLICK"
calling_ae_titles = ["SCANNER", "PACS 1"]
certificate = "/etc/zweitblick/cert.pem"
key = "/etc/zweitblick/cert.key"
client_cas = "/etc/zweitblick/ca.pem"
receivers = 4
LIMITS
client_certificates = { SCANNER = "CN=scanner-7.example", "PACS 1" = "PRINT" }

[http]
host = "::1"
port = 8443
worker_port = 8444
largest_upload_bytes = 1000000000

[access]
issuer = "https://login.example/realms/hospital"
audience = "https://zweitblick.example"
client_id = "zweitblick-browser"
client_secret_file = "/run/credentials/client"
ca = "/etc/zweitblick/login.pem"
public_url = "https://zweitblick.example"
roles_claim = "groups"
roles = { rad-7 = "radiologist", ops = "administrator" }
tenant_claim = "organization"
tenant = "north"
users_file = "/etc/zweitblick/users"

[audit]
folder = "/srv/audit"
signing_key = "/etc/zweitblick/audit.pem"
site = "Radiology"
syslog_host = "audit.example"
syslog_port = 6515
syslog_certificate = "/etc/zweitblick/syslog.pem"
syslog_key = "/etc/zweitblick/syslog.key"
syslog_cas = "/etc/zweitblick/syslog-ca.pem"

[keys]
holder = "pkcs11"
pool = 50
pool_age_s = 7200
pkcs11_module = "/usr/lib/hsm.so"
pkcs11_token = "Hospital 1"
pkcs11_key = "zb"
pkcs11_pin_file = "/run/credentials/pin"
vault_url = "https://vault.example:8200/"
vault_mount = "hospital/transit"
vault_key = "zb"
vault_token_file = "/run/credentials/token"
vault_ca = "/etc/zweitblick/vault.pem"

[receipts]
hsm_key = "receipts"
public_key = "/etc/zweitblick/receipts.pub"

[sealing]
key = "/etc/zweitblick/sealing.key"
certificate = "/etc/zweitblick/sealing.pem"
""".replace("PRINT", ":".join(["AB"] * 32)).replace(
    "LIMITS", "\n".join(f"{name} = {limit}" for name, limit in LIMITS.items())
)

DESTINATIONS = """
[[destinations]]
name = "PACS"
inside = true
host = "pacs.example"
port = 104
called_ae_title = "PACS"
calling_ae_title = "READER 1"
tls = true
ca = "/etc/zweitblick/pacs.pem"
certificate = "/etc/zweitblick/cert.pem"
key = "/etc/zweitblick/cert.key"
storage_commitment = true
results = ["sr", "seg"]
senders = ["SCANNER", "PACS 1"]
modalities = ["MR"]
body_parts = ["HEAD", "BRAIN"]

[[destinations]]
name = "ARCHIVE"
inside = true
url = "https://archive.example:8443/dicom-web"
ca = "/etc/zweitblick/archive.pem"
token_file = "/etc/zweitblick/token"

[[destinations]]
name = "HERE"
inside = true
url = "http://127.0.0.1:8042/dicom-web"
password_file = "/etc/zweitblick/password"

[[destinations]]
name = "PLAIN"
inside = true
host = "10.0.0.7"
port = 11112
called_ae_title = "PLAIN"

[sealing]
key = "/etc/zweitblick/sealing.key"
certificate = "/etc/zweitblick/sealing.pem"

[[destinations]]
name = "CLOUD"
url = "https://cloud.example/dicom-web"
recipients = ["/etc/zweitblick/hospital.pem", "/etc/zweitblick/clinic.pem"]

[[destinations]]
name = "SHARE"
folder = "/mnt/share"
recipients = ["/etc/zweitblick/clinic.pem"]
results = ["sr", "encapsulated-pdf"]

[[destinations]]
name = "HOT-FOLDER"
folder = "/mnt/hot"
form = "encrypted-attributes"
recipients = ["/etc/zweitblick/clinic.pem"]

[[destinations]]
name = "DESK"
folder = "/mnt/desk"
inside = true
"""

SIGNING = SigningFiles(Path("/etc/zweitblick/sealing.key"), Path("/etc/zweitblick/sealing.pem"))
HOSPITAL, CLINIC = Path("/etc/zweitblick/hospital.pem"), Path("/etc/zweitblick/clinic.pem")

ROUTES = (
    Route(
        StoreDestination(
            "PACS",
            "pacs.example",
            104,
            "PACS",
            "READER 1",
            Trust(*(Path(f"/etc/zweitblick/{name}") for name in ("pacs.pem", "cert.pem", "cert.key"))),
            storage_commitment=True,
        ),
        results=("seg", "sr"),
        senders=frozenset({"SCANNER", "PACS 1"}),
        modalities=frozenset({"MR"}),
        body_parts=frozenset({"HEAD", "BRAIN"}),
    ),
    Route(
        StowDestination(
            "ARCHIVE",
            "https://archive.example:8443/dicom-web",
            Trust(Path("/etc/zweitblick/archive.pem")),
            token_file=Path("/etc/zweitblick/token"),
        )
    ),
    Route(StowDestination("HERE", "http://127.0.0.1:8042/dicom-web", password_file=Path("/etc/zweitblick/password"))),
    Route(StoreDestination("PLAIN", "10.0.0.7", 11112, "PLAIN")),
    Route(
        StowDestination("CLOUD", "https://cloud.example/dicom-web"),
        results=("sr",),
        seal=Seal(Form.ENCRYPTED_ATTRIBUTES, (HOSPITAL, CLINIC), SIGNING),
    ),
    Route(
        FolderDestination("SHARE", Path("/mnt/share")),
        results=("sr", "encapsulated-pdf"),
        seal=Seal(Form.SEALED_FILE, (CLINIC,), SIGNING),
    ),
    Route(
        FolderDestination("HOT-FOLDER", Path("/mnt/hot")),
        results=("sr",),
        seal=Seal(Form.ENCRYPTED_ATTRIBUTES, (CLINIC,), SIGNING),
    ),
    Route(FolderDestination("DESK", Path("/mnt/desk"))),
)

ENVIRONMENT = {
    "ZWEITBLICK_DATA": "/srv/zweitblick",
    "ZWEITBLICK_KEY_FILE": "/etc/zweitblick/key",
    "ZWEITBLICK_MODELS": "/opt/models",
    "ZWEITBLICK_TRUSTED_KEYS": "/etc/zweitblick/hospital.pub, /etc/zweitblick/other.pub",
    "ZWEITBLICK_ALLOW_UNSIGNED_MODELS": "true",
    "ZWEITBLICK_QUIET_TIME_S": "45",
    "ZWEITBLICK_QUIET_TIMES_S": "SCANNER=60,PACS 1=0.5",
    "ZWEITBLICK_LOG_FORMAT": "json",
    "ZWEITBLICK_OTLP_ENDPOINT": "http://127.0.0.1:4318",
    "ZWEITBLICK_PRIORITIES": "ER_SCANNER=stat,RESEARCH=low",
    "ZWEITBLICK_LARGEST_STUDY_BYTES": "8000000000",
    "ZWEITBLICK_DATABASE": "postgresql://reader@db/studies?passfile=/secret/pgpass",
    "ZWEITBLICK_KEYS_DATABASE": "postgresql://reader@db/keys?passfile=/secret/pgpass",
    "ZWEITBLICK_DICOM_HOST": "10.0.0.5",
    "ZWEITBLICK_DICOM_PORT": "104",
    "ZWEITBLICK_DICOM_AE_TITLE": "ZWEITBLICK",
    "ZWEITBLICK_DICOM_CALLING_AE_TITLES": "SCANNER, PACS 1",
    "ZWEITBLICK_DICOM_CERTIFICATE": "/etc/zweitblick/cert.pem",
    "ZWEITBLICK_DICOM_KEY": "/etc/zweitblick/cert.key",
    "ZWEITBLICK_DICOM_CLIENT_CAS": "/etc/zweitblick/ca.pem",
    "ZWEITBLICK_DICOM_RECEIVERS": "4",
    **{f"ZWEITBLICK_DICOM_{name.upper()}": str(limit) for name, limit in LIMITS.items()},
    "ZWEITBLICK_DICOM_CLIENT_CERTIFICATES": "SCANNER=CN=scanner-7.example,PACS 1=" + "ab" * 32,
    "ZWEITBLICK_HTTP_HOST": "::1",
    "ZWEITBLICK_HTTP_PORT": "8443",
    "ZWEITBLICK_HTTP_WORKER_PORT": "8444",
    "ZWEITBLICK_ACCESS_ISSUER": "https://login.example/realms/hospital",
    "ZWEITBLICK_ACCESS_AUDIENCE": "https://zweitblick.example",
    "ZWEITBLICK_ACCESS_CLIENT_ID": "zweitblick-browser",
    "ZWEITBLICK_ACCESS_CLIENT_SECRET_FILE": "/run/credentials/client",
    "ZWEITBLICK_ACCESS_CA": "/etc/zweitblick/login.pem",
    "ZWEITBLICK_ACCESS_PUBLIC_URL": "https://zweitblick.example",
    "ZWEITBLICK_ACCESS_ROLES_CLAIM": "groups",
    "ZWEITBLICK_ACCESS_ROLES": "rad-7=radiologist, ops=administrator",
    "ZWEITBLICK_ACCESS_TENANT_CLAIM": "organization",
    "ZWEITBLICK_ACCESS_TENANT": "north",
    "ZWEITBLICK_ACCESS_USERS_FILE": "/etc/zweitblick/users",
    "ZWEITBLICK_AUDIT_FOLDER": "/srv/audit",
    "ZWEITBLICK_AUDIT_SIGNING_KEY": "/etc/zweitblick/audit.pem",
    "ZWEITBLICK_AUDIT_SITE": "Radiology",
    "ZWEITBLICK_AUDIT_SYSLOG_HOST": "audit.example",
    "ZWEITBLICK_AUDIT_SYSLOG_PORT": "6515",
    "ZWEITBLICK_AUDIT_SYSLOG_CERTIFICATE": "/etc/zweitblick/syslog.pem",
    "ZWEITBLICK_AUDIT_SYSLOG_KEY": "/etc/zweitblick/syslog.key",
    "ZWEITBLICK_AUDIT_SYSLOG_CAS": "/etc/zweitblick/syslog-ca.pem",
    "ZWEITBLICK_HTTP_LARGEST_UPLOAD_BYTES": "1000000000",
    "ZWEITBLICK_KEYS_HOLDER": "pkcs11",
    "ZWEITBLICK_KEYS_POOL": "50",
    "ZWEITBLICK_KEYS_POOL_AGE_S": "7200",
    "ZWEITBLICK_KEYS_PKCS11_MODULE": "/usr/lib/hsm.so",
    "ZWEITBLICK_KEYS_PKCS11_TOKEN": "Hospital 1",
    "ZWEITBLICK_KEYS_PKCS11_KEY": "zb",
    "ZWEITBLICK_KEYS_PKCS11_PIN_FILE": "/run/credentials/pin",
    "ZWEITBLICK_KEYS_VAULT_URL": "https://vault.example:8200/",
    "ZWEITBLICK_KEYS_VAULT_MOUNT": "hospital/transit",
    "ZWEITBLICK_KEYS_VAULT_KEY": "zb",
    "ZWEITBLICK_KEYS_VAULT_TOKEN_FILE": "/run/credentials/token",
    "ZWEITBLICK_KEYS_VAULT_CA": "/etc/zweitblick/vault.pem",
    "ZWEITBLICK_RECEIPTS_HSM_KEY": "receipts",
    "ZWEITBLICK_RECEIPTS_PUBLIC_KEY": "/etc/zweitblick/receipts.pub",
    "ZWEITBLICK_SEALING_KEY": "/etc/zweitblick/sealing.key",
    "ZWEITBLICK_SEALING_CERTIFICATE": "/etc/zweitblick/sealing.pem",
}

TOKEN = TokenPlace(Path("/usr/lib/hsm.so"), "Hospital 1", "zb", Path("/run/credentials/pin"))
EVERYTHING = Settings(
    data=Path("/srv/zweitblick"),
    key_file=Path("/etc/zweitblick/key"),
    models=Path("/opt/models"),
    trusted_keys=(Path("/etc/zweitblick/hospital.pub"), Path("/etc/zweitblick/other.pub")),
    allow_unsigned_models=True,
    quiet_time=timedelta(seconds=45),
    quiet_times={"SCANNER": timedelta(seconds=60), "PACS 1": timedelta(seconds=0.5)},
    priorities={"ER_SCANNER": Priority.STAT, "RESEARCH": Priority.LOW},
    largest_study_bytes=8 * 10**9,
    database="postgresql+psycopg://reader@db/studies?passfile=/secret/pgpass",
    keys_database="postgresql+psycopg://reader@db/keys?passfile=/secret/pgpass",
    dicom=DicomSettings(
        host="10.0.0.5",
        port=104,
        ae_title="ZWEITBLICK",
        calling_ae_titles=frozenset({"SCANNER", "PACS 1"}),
        certificate=Path("/etc/zweitblick/cert.pem"),
        key=Path("/etc/zweitblick/cert.key"),
        client_cas=Path("/etc/zweitblick/ca.pem"),
        receivers=4,
        **LIMITS,
        client_certificates={"SCANNER": "CN=scanner-7.example", "PACS 1": "ab" * 32},
    ),
    access=AccessSettings(
        ProviderSettings(
            "https://login.example/realms/hospital",
            "https://zweitblick.example",
            "zweitblick-browser",
            Path("/run/credentials/client"),
            Path("/etc/zweitblick/login.pem"),
            ClaimRules("groups", {"rad-7": Role.RADIOLOGIST, "ops": Role.ADMINISTRATOR}, "organization", "north"),
        ),
        Path("/etc/zweitblick/users"),
        "https://zweitblick.example",
    ),
    http=HttpSettings(host="::1", port=8443, worker_port=8444, largest_upload_bytes=10**9),
    audit=AuditSettings(
        folder=Path("/srv/audit"),
        signing_key=Path("/etc/zweitblick/audit.pem"),
        site="Radiology",
        syslog_host="audit.example",
        syslog_port=6515,
        syslog_certificate=Path("/etc/zweitblick/syslog.pem"),
        syslog_key=Path("/etc/zweitblick/syslog.key"),
        syslog_cas=Path("/etc/zweitblick/syslog-ca.pem"),
    ),
    keys=KeySettings(
        hsm=TOKEN,
        pool=PoolLimits(50, timedelta(hours=2)),
    ),
    sealing=SIGNING,
    receipts=ReceiptSettings(TOKEN, "receipts", Path("/etc/zweitblick/receipts.pub")),
    log_format="json",
    otlp_endpoint="http://127.0.0.1:4318",
)


def loaded(folder: Path, text: str, environment: dict[str, str] = HOME) -> Settings:
    file = folder / "settings.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, environment)


def test_without_settings_only_this_machine_is_listened_to() -> None:
    settings = load_settings(None, HOME)
    assert settings.dicom.host == settings.http.host == "127.0.0.1"
    assert settings.quiet_time == timedelta(seconds=30)
    assert settings.data == Path("/home/somebody/.local/share/zweitblick")
    assert settings.key_file == Path("/home/somebody/.config/zweitblick/key")


def test_folders_follow_the_xdg_variables() -> None:
    settings = load_settings(None, HOME | {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "relative"})
    assert settings.data == Path("/data/zweitblick")
    assert settings.key_file == Path("/home/somebody/.config/zweitblick/key")


def test_the_file_sets_everything(tmp_path: Path) -> None:
    assert loaded(tmp_path, FILE) == EVERYTHING


def test_the_environment_sets_everything() -> None:
    assert load_settings(None, HOME | ENVIRONMENT) == EVERYTHING


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    settings = loaded(tmp_path, FILE, HOME | {"ZWEITBLICK_DICOM_PORT": "11112", "ZWEITBLICK_QUIET_TIME_S": "1.5"})
    assert settings.dicom.port == 11112
    assert settings.quiet_time == timedelta(seconds=1.5)
    assert settings.http == EVERYTHING.http


@given(st.dictionaries(st.sampled_from(sorted(ENVIRONMENT)), st.text(max_size=20)))
def test_any_environment_gives_settings_or_one_typed_error(environment: dict[str, str]) -> None:
    with suppress(SettingsError):
        settings = load_settings(None, HOME | environment)
        assert 0 <= settings.dicom.port <= 65535
        assert 0 <= settings.quiet_time.total_seconds() <= 86400
