"""Routes under `account/`: our own pages, then allauth's."""

from django.urls import URLPattern, URLResolver, include, path

from accounts import laboratory_views, people_views, views

pages: list[URLPattern | URLResolver] = [
    path("profile/", views.profile, name="profile"),
    path("laboratory/", laboratory_views.particulars, name="laboratory"),
    path("laboratory/switch/", views.switch, name="switch"),
    path("tokens/", views.token_list, name="tokens"),
    path("tokens/<int:pk>/revoke/", views.token_revoke, name="token-revoke"),
    path("people/", people_views.people_list, name="people"),
    path("people/<int:pk>/roles/", people_views.person_roles, name="person-roles"),
    path("people/<int:pk>/remove/", people_views.person_remove, name="person-remove"),
    path("people/<int:pk>/invite/", people_views.person_invite, name="person-invite"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include((pages, "accounts"))),
    path("email/", views.email_is_given, name="account_email"),
    path("", include("allauth.account.urls")),
    path("2fa/", include("allauth.mfa.urls")),
    path("3rdparty/", include("allauth.socialaccount.urls")),
    path("", include("allauth.socialaccount.providers.openid_connect.urls")),
]
