"""A Django REST framework of one file on the tables of the registry, the way its tutorial has it; run by gunicorn."""

import os

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="benchmark",  # noqa: S106
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["PGDATABASE"],
            "USER": os.environ["PGUSER"],
            "PASSWORD": os.environ["PGPASSWORD"],
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "CONN_MAX_AGE": None,
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import generics, pagination, serializers  # noqa: E402


class Person(models.Model):
    id = models.UUIDField(primary_key=True)
    sex = models.TextField()
    born = models.TextField()
    born_earliest = models.DateField()
    born_latest = models.DateField()
    summary = models.TextField()
    level = models.SmallIntegerField()
    origin = models.TextField()
    origin_id = models.TextField()
    version = models.IntegerField()
    publication_ground = models.TextField()

    class Meta:
        managed = False
        app_label = "registry"
        db_table = "persons"


class PersonName(models.Model):
    id = models.UUIDField(primary_key=True)
    person = models.ForeignKey(Person, models.CASCADE, related_name="names")
    text = models.TextField()
    language = models.TextField()
    script = models.TextField()
    kind = models.TextField()

    class Meta:
        managed = False
        app_label = "registry"
        db_table = "person_names"


class Event(models.Model):
    id = models.UUIDField(primary_key=True)
    type = models.TextField()
    date = models.TextField()
    date_earliest = models.DateField()
    date_latest = models.DateField()
    description = models.TextField()
    place_id = models.UUIDField()
    level = models.SmallIntegerField()
    effective_level = models.SmallIntegerField()
    origin = models.TextField()
    origin_id = models.TextField()
    version = models.IntegerField()
    publication_ground = models.TextField()

    class Meta:
        managed = False
        app_label = "registry"
        db_table = "events"


class Participant(models.Model):
    id = models.UUIDField(primary_key=True)
    event = models.ForeignKey(Event, models.CASCADE, related_name="participants")
    person = models.ForeignKey(Person, models.CASCADE, related_name="events")
    role = models.TextField()
    count = models.IntegerField()
    label = models.TextField()

    class Meta:
        managed = False
        app_label = "registry"
        db_table = "participants"


class NameSerializer(serializers.ModelSerializer):
    class Meta:
        model = PersonName
        fields = ("id", "text", "language", "script", "kind")


class PersonSerializer(serializers.ModelSerializer):
    names = NameSerializer(many=True)

    class Meta:
        model = Person
        fields = "__all__"


class ParticipantSerializer(serializers.ModelSerializer):
    class Meta:
        model = Participant
        fields = ("id", "person", "role", "count", "label")


class EventSerializer(serializers.ModelSerializer):
    participants = ParticipantSerializer(many=True)

    class Meta:
        model = Event
        fields = "__all__"


class Pages(pagination.LimitOffsetPagination):
    """Pages without the count of all rows, which no list of the registry gives unasked either."""

    def get_count(self, queryset):
        return 10**9


class Events(generics.ListAPIView):
    queryset = (
        Event.objects.filter(effective_level__lte=1).order_by("-date_earliest", "-id").prefetch_related("participants")
    )
    serializer_class = EventSerializer
    pagination_class = Pages


class OnePerson(generics.RetrieveAPIView):
    queryset = Person.objects.prefetch_related("names")
    serializer_class = PersonSerializer


urlpatterns = [path("events/", Events.as_view()), path("persons/<uuid:pk>", OnePerson.as_view())]
application = get_wsgi_application()
