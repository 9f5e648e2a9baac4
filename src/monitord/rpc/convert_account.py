"""Accounts and tokens as messages."""

from monitord.identity.tokens import TokenPair
from monitord.identity.user import User
from monitord.rpc.convert_time import timestamp_pb
from monitord.v1 import auth_pb2
from monitord.v1 import auth_service_pb2 as pb

_PROVIDERS = {
    "password": auth_pb2.IDENTITY_PROVIDER_PASSWORD,
    "firebase_password": auth_pb2.IDENTITY_PROVIDER_FIREBASE_PASSWORD,
    "google": auth_pb2.IDENTITY_PROVIDER_GOOGLE,
    "apple": auth_pb2.IDENTITY_PROVIDER_APPLE,
}
_PROFILE_STATUSES = {
    "PENDING": auth_pb2.PROFILE_STATUS_PENDING,
    "COMPLETE": auth_pb2.PROFILE_STATUS_COMPLETE,
}


def tokens_pb(pair: TokenPair) -> pb.TokenPair:
    """Return the tokens of a session."""
    return pb.TokenPair(
        access_token=pair.access_token,
        access_token_expire_time=timestamp_pb(pair.access_expires_at),
        refresh_token=pair.refresh_token,
        refresh_token_expire_time=timestamp_pb(pair.refresh_expires_at),
    )


def user_pb(user: User) -> auth_pb2.User:
    """Return a user."""
    return auth_pb2.User(
        id=user.id,
        email=user.email,
        full_name=user.full_name,
        provider=_PROVIDERS[user.provider],
        organisation_id=user.org_id,
        create_time=timestamp_pb(user.created_at),
        phone=user.phone,
        profile_status=_PROFILE_STATUSES[user.profile_status],
        bio=user.bio,
        delete_time=None if user.deletion_at is None else timestamp_pb(user.deletion_at),
    )
