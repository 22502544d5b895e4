"""What goes wrong while a study is read and written: volumes, registration, bundles, networks, output."""

from zweitblick.errors.root import ZweitblickError


class GeometryError(ZweitblickError):
    """An affine is singular, not finite or of the wrong shape."""

    code = "volume.geometry"


class VoxelError(ZweitblickError):
    """Voxels are not finite or do not fit their grid."""

    code = "volume.voxels"


class RegistrationError(ZweitblickError):
    """Two volumes could not be aligned plausibly."""

    code = "register.failed"


class BundleError(ZweitblickError):
    """A model bundle is unusable."""

    code = "bundle"


class BundleMissingError(BundleError):
    """A bundle, or a file that it must hold, is absent."""

    code = "bundle.missing"


class BundleUnsignedError(BundleError):
    """A bundle is not signed by one of the keys that are trusted."""

    code = "bundle.unsigned"


class BundleDamagedError(BundleError):
    """A bundle's digest or self-test does not match, or its files are not those that were signed."""

    code = "bundle.damaged"


class ProviderError(BundleError):
    """The runtime does not run on the device that it was installed for."""

    code = "bundle.provider"


class NetworkError(ZweitblickError):
    """A request to a network was not answered."""

    code = "network"


class NetworkMemoryError(NetworkError):
    """A request alone takes more memory than its budget."""

    code = "network.memory"


class NetworkDeadlineError(NetworkError):
    """A request's time was over before its turn came."""

    code = "network.deadline"


class NetworkCancelledError(NetworkError):
    """A request, or the study that it belongs to, was cancelled."""

    code = "network.cancelled"


class NetworkClosedError(NetworkError):
    """No more requests are taken."""

    code = "network.closed"


class SampleError(ZweitblickError):
    """The tissue maps of the synthetic study are not installed."""

    code = "sample.templates-missing"


class OutputError(ZweitblickError):
    """A result cannot be written where it was asked for."""

    code = "output.not-writable"
