"""What is wrong with the settings of the DICOM server."""

from zweitblick.errors.root import ZweitblickError


class DimseSettingError(ZweitblickError):
    """A setting of the DICOM server is out of range or unsafe, or its address is not to be had."""

    code = "dimse.setting"


class ReceptionFullError(ZweitblickError):
    """The data sets that are received at the time are longer together than they may be."""

    code = "dimse.full"


class CertificateError(ZweitblickError):
    """A certificate or private key for TLS cannot be used."""

    code = "dimse.certificate"


class ReceiverError(ZweitblickError):
    """A receiver process ended before it could receive."""

    code = "dimse.receiver"
